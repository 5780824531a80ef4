// Package archtest is vipctl's floor plan, as a test. plan_test.go says on
// which floor each package lives and what of ours it may import, and why;
// rules_test.go compares that with the code.
//
// A new package gets a row in the plan, and in docs/architecture.md, before it
// gets a file: a package without a floor fails the test. A row without a
// package is planned, and passes.
//
// The source is parsed in the test's own process, and every file counts,
// whatever its build tags say: what only another operating system compiles
// must keep to the plan as well. (A child `go list` would see this system's
// files only, and what it read would be hidden from the test cache.)
package archtest
