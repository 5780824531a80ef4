package fault

import (
	"fmt"
	"strings"
)

// knowsForce says whether a Talos of this version knows the forced reboot.
// It came with v1.12.0-beta.0; an alpha of 1.12, and a version that cannot be
// read, are taken not to know it.
func knowsForce(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "v%d.%d.", &major, &minor); err != nil {
		return false
	}
	if major == 1 && minor == 12 {
		return !strings.Contains(version, "-alpha.")
	}
	return major > 1 || major == 1 && minor > 12
}
