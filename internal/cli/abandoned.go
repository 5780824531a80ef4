package cli

import "os"

// Abandoned says that whoever read Out has gone, as head(1) does after its lines:
// the next write would end in EPIPE. Where the system does not tell, and of what
// is no pipe, it is false.
func (s *Streams) Abandoned() bool {
	f, ok := s.Out.(*os.File)
	return ok && abandoned(f)
}
