package cli

// ExitCode is what vipctl tells the shell. The table is a contract with
// scripts: a code is never renumbered.
type ExitCode int

// The exit codes, in the order of their numbers.
const (
	ExitOK           ExitCode = 0   // done, and the verdict is good
	ExitFailed       ExitCode = 1   // could not be done
	ExitUsage        ExitCode = 2   // wrong usage or configuration
	ExitBad          ExitCode = 3   // done, and the verdict is bad
	ExitRefused      ExitCode = 4   // refused by a guard; nothing was touched
	ExitNotWhole     ExitCode = 5   // a fault was injected and the cluster is not whole
	ExitSplitBrain   ExitCode = 6   // two owners seen
	ExitInconclusive ExitCode = 7   // it could not be told
	ExitInterrupted  ExitCode = 130 // interrupted; everything was undone
)

// ExitCodes lists every code with its meaning, for the help page and for the
// test that compares them.
var ExitCodes = []struct {
	Code    ExitCode
	Meaning string
}{
	{ExitOK, "done, and the verdict is good"},
	{ExitFailed, "could not be done (no connection, refused credentials, internal error)"},
	{ExitUsage, "wrong usage or configuration"},
	{ExitBad, "done, and the verdict is bad: a check failed, the VIP has no owner, an objective was missed"},
	{ExitRefused, "refused by a guard; nothing was touched"},
	{ExitNotWhole, "a fault was injected and the cluster is not whole again: a person must look"},
	{ExitSplitBrain, "split brain: two owners seen"},
	{ExitInconclusive, "inconclusive: it could not be told"},
	{ExitInterrupted, "interrupted; everything was undone"},
}

// severity orders the codes for a run of several drills: the worst counts.
var severity = []ExitCode{
	ExitNotWhole, ExitSplitBrain, ExitInterrupted, ExitRefused,
	ExitInconclusive, ExitBad, ExitFailed, ExitUsage, ExitOK,
}

// Worst returns the code that counts when several results meet in one run:
// 5, 6, 130, 4, 7, 3 in that order, then the rest. Without arguments it is
// ExitOK.
func Worst(codes ...ExitCode) ExitCode {
	for _, s := range severity {
		for _, c := range codes {
			if c == s {
				return c
			}
		}
	}
	return ExitOK
}
