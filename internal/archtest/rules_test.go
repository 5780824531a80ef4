package archtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// violations returns every way in which the files depart from the plan, in
// the order of the files.
func violations(files []file) []string {
	var found []string
	for _, f := range files {
		home, ok := plan[f.dir]
		if !ok {
			found = append(found, fmt.Sprintf("%s: package %s has no floor: add it to the plan", f.name, f.dir))
			continue
		}
		for _, imported := range f.imports {
			if why := refuse(f, home, imported); why != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", f.name, imported, why))
			}
		}
		for _, name := range f.names {
			if !f.test && slices.Contains(impure[home.floor], name) {
				found = append(found, fmt.Sprintf("%s uses %s: floor %s does no I/O", f.name, name, home.floor))
			}
		}
	}
	return slices.Concat(found, undocumented(files))
}

// refuse says why f may not import what it imports, or "".
func refuse(f file, home room, imported string) string {
	target, ours := plan[imported]
	switch {
	case crossesShore(f.dir, imported):
		return "only pkg/commands/labcmd knows both vipctl and the lab"
	case f.test:
		return "" // tests may look anywhere on their own side of the shore
	case ours && !coveredBy(slices.Collect(maps.Keys(home.mayImport)), imported):
		return fmt.Sprintf("%s (%s) may not import %s (%s)", f.dir, home.floor, imported, target.floor)
	case ours:
		return ""
	case pure[home.floor] != nil && !slices.Contains(pure[home.floor], imported):
		return fmt.Sprintf("floor %s does no I/O and knows no library", home.floor)
	}
	for library, knowers := range worlds {
		if below(library, imported) && !coveredBy(knowers, f.dir) {
			return "that world belongs to " + strings.Join(knowers, ", ")
		}
	}
	return ""
}

// crossesShore says that one of the two is the lab's and the other vipctl's.
// It holds for tests as well: where product meets lab, the test of cmd/vipctl
// drives the built binary.
func crossesShore(from, to string) bool {
	if _, ours := plan[to]; !ours || from == "pkg/commands/labcmd" || plan[from].floor == tool {
		return false
	}
	return below("pkg/lab", from) != below("pkg/lab", to)
}

// undocumented returns the packages without a package comment, or with one
// that does not begin as the convention has it.
func undocumented(files []file) []string {
	comment := make(map[string]string)
	for _, f := range files {
		if f.test {
			continue
		}
		comment[f.dir] += f.doc
	}
	var found []string
	for _, dir := range slices.Sorted(maps.Keys(comment)) {
		want := "Package " + dir[strings.LastIndex(dir, "/")+1:] + " "
		if strings.HasPrefix(dir, "cmd/") || dir == "hack/bench" || dir == "hack/soak" {
			want = "Command " + dir[strings.LastIndex(dir, "/")+1:] + " "
		}
		if !strings.HasPrefix(comment[dir], want) {
			found = append(found, fmt.Sprintf("%s: the package comment does not begin with %q", dir, want))
		}
	}
	return found
}

// unlawful returns the rows of the plan that break the rule that imports
// point down only.
func unlawful(plan map[string]room) []string {
	var found []string
	for _, from := range slices.Sorted(maps.Keys(plan)) {
		for _, to := range slices.Sorted(maps.Keys(plan[from].mayImport)) {
			down := slices.Contains(sees[plan[from].floor], plan[to].floor)
			if !down && !neighbour(from, to) {
				found = append(found, fmt.Sprintf("%s (%s) may not be allowed to import %s (%s)",
					from, plan[from].floor, to, plan[to].floor))
			}
		}
	}
	return found
}

func neighbour(from, to string) bool {
	for who, doors := range neighbours {
		if covers(who, from) && slices.Contains(doors, to) {
			return true
		}
	}
	return false
}

// covers says that pattern is path, or ends in "/..." and path lies below it.
func covers(pattern, path string) bool {
	dir, all := strings.CutSuffix(pattern, "/...")
	if all {
		return strings.HasPrefix(path, dir+"/")
	}
	return pattern == path
}

func coveredBy(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, path) })
}

// below says that path is dir or lies below it.
func below(dir, path string) bool { return covers(dir, path) || covers(dir+"/...", path) }
