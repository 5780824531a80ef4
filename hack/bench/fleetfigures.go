//go:build linux

package main

import (
	"fmt"
	"time"
)

// fleetTimes are what the rounds on one fleet took.
type fleetTimes struct {
	nodes             int
	wall, cpu, served []float64 // s; the fleet's own CPU time is served
	rss               []float64 // MiB
	right             []float64 // clusters
}

// add takes one round; the memory is in KiB, as getrusage(2) has it.
func (t *fleetTimes) add(wall, cpu, served time.Duration, rss int64, right int) {
	t.wall, t.cpu = append(t.wall, wall.Seconds()), append(t.cpu, cpu.Seconds())
	t.served = append(t.served, served.Seconds())
	t.rss, t.right = append(t.rss, float64(rss)/1024), append(t.right, float64(right))
}

// perNode are milliseconds.
func (t *fleetTimes) perNode(seconds []float64) []float64 {
	var ms []float64
	for _, s := range seconds {
		ms = append(ms, 1000*s/float64(t.nodes))
	}
	return ms
}

// fleetFigures are those of each fleet, and how the time per node of the last
// compares with that of the first.
func fleetFigures(all []fleetTimes) []figure {
	var figures []figure
	for _, t := range all {
		wall, rss := 0.0, 0.0
		if t.nodes == 1000 {
			wall, rss = goalFleetWall, goalFleetRSS
		}
		name := fmt.Sprintf("%d nodes: ", t.nodes)
		figures = append(figures,
			newFigure(name+"wall time", "s", wall, t.wall...),
			newFigure(name+"wall time per node", "ms", 0, t.perNode(t.wall)...),
			newFigure(name+"vipctl's CPU time per node", "ms", 0, t.perNode(t.cpu)...),
			newFigure(name+"the fleet's CPU time per node", "ms", 0, t.perNode(t.served)...),
			newFigure(name+"vipctl's greatest memory (RSS)", "MiB", rss, t.rss...),
			newFigure(fmt.Sprintf("%sVIPs owned by the right node, of %d", name, t.nodes/3), "VIPs", 0, t.right...),
		)
	}
	if len(all) > 1 {
		first, last := all[0], all[len(all)-1]
		ratio := func(what string, of func(fleetTimes) []float64, goal float64) figure {
			least, most := newFigure("", "", 0, first.perNode(of(first))...), newFigure("", "", 0, last.perNode(of(last))...)
			return newFigure(fmt.Sprintf("%s per node, %d to %d nodes", what, last.nodes, first.nodes), "times", goal, most.Median/least.Median)
		}
		figures = append(figures,
			ratio("wall time", func(t fleetTimes) []float64 { return t.wall }, goalFleetRatio),
			ratio("CPU time", func(t fleetTimes) []float64 { return t.cpu }, 0))
	}
	return figures
}
