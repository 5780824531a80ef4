package checks

import (
	"fmt"
	"slices"
	"strings"
)

// Choice selects checks. The zero value selects all.
type Choice struct {
	Only       []string // IDs; empty is every check
	Skip       []string // IDs to leave out
	Categories []string // empty is every category
}

// UnknownNameError says that a Choice names what does not exist.
type UnknownNameError struct {
	What  string   // "check" or "category"
	Name  string   // as it was given
	Known []string // the names that there are
}

func (e *UnknownNameError) Error() string { return fmt.Sprintf("unknown %s %q", e.What, e.Name) }

// Hint lists the names that there are.
func (e *UnknownNameError) Hint() string { return "one of " + strings.Join(e.Known, ", ") }

// Choose returns the checks of list that c selects, in the order of list. An
// unknown name is an *UnknownNameError; an empty selection is an error too.
func Choose(list []Check, c Choice) ([]Check, error) {
	ids, categories := names(list)
	for _, id := range slices.Concat(c.Only, c.Skip) {
		if !slices.Contains(ids, id) {
			return nil, &UnknownNameError{"check", id, ids}
		}
	}
	for _, name := range c.Categories {
		if !slices.Contains(categories, name) {
			return nil, &UnknownNameError{"category", name, categories}
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(list), func(check Check) bool { return !c.selects(check) })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no check is left of %d", len(list))
	}
	return chosen, nil
}

func (c Choice) selects(check Check) bool {
	return (len(c.Only) == 0 || slices.Contains(c.Only, check.ID)) &&
		(len(c.Categories) == 0 || slices.Contains(c.Categories, string(check.Category))) &&
		!slices.Contains(c.Skip, check.ID)
}

// names returns the IDs and the categories of list, in its order.
func names(list []Check) (ids, categories []string) {
	for _, c := range list {
		ids = append(ids, c.ID)
		if !slices.Contains(categories, string(c.Category)) {
			categories = append(categories, string(c.Category))
		}
	}
	return ids, categories
}
