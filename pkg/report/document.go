package report

// APIVersion is that of every document, and grows only with a change that is no
// mere addition.
const APIVersion = "vipctl.dev/v1alpha1"

// Kinds of document.
const (
	KindOwnership = "Ownership"
	KindEtcd      = "EtcdReport"
	KindDoctor    = "DoctorReport"
	KindDrill     = "DrillReport"
	KindVersion   = "VersionReport"
	KindError     = "Error"
)

// Kinds of the documents on several contexts: items, each a document of the
// kind above or an Error.
const (
	KindOwnershipList = "OwnershipList"
	KindEtcdList      = "EtcdReportList"
	KindDoctorList    = "DoctorReportList"
)

// Meta is the head of every document.
type Meta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func meta(kind string) Meta { return Meta{APIVersion: APIVersion, Kind: kind} }

// ErrorReport is what stdout holds when a command fails that was asked for
// JSON or YAML.
type ErrorReport struct {
	Meta
	// Error names the thing that failed; Hint the command or flag to try.
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	// ExitCode is that of the process; in a list, that of a process which asked
	// this context alone.
	ExitCode int `json:"exitCode"`
	// Context that could not be asked, in a list.
	Context string `json:"context,omitempty"`
}

// NewError returns the document of a failed command: its error and hint as they
// are printed for people, hint "" where there is none.
func NewError(message, hint string, exitCode int) *ErrorReport {
	return &ErrorReport{Meta: meta(KindError), Error: message, Hint: hint, ExitCode: exitCode}
}

// VersionReport is vipctl's own version.
type VersionReport struct {
	Meta
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	// Date of the build, RFC 3339.
	Date string `json:"date,omitempty"`
	// Go is the version of the compiler, Platform the system built for, as
	// linux/amd64.
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// NewVersion returns the document of a version.
func NewVersion(version, commit, date, goVersion, platform string) *VersionReport {
	return &VersionReport{Meta: meta(KindVersion), Version: version, Commit: commit, Date: date, Go: goVersion, Platform: platform}
}

// Grids shows the version as names and values.
func (v *VersionReport) Grids(bool) []Grid {
	return []Grid{{Rows: [][]string{
		{"version", v.Version}, {"commit", v.Commit}, {"date", v.Date}, {"go", v.Go}, {"platform", v.Platform},
	}}}
}
