package talos

import (
	"context"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// Campaigns asks a node that Collect saw once more on which links it campaigns.
// via is the endpoint that it was read through, "" where it was dialled.
func (c *Client) Campaigns(ctx context.Context, node, via string) cluster.Seen[[]string] {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	t, err := c.watched(node, via)
	if err != nil {
		return cluster.Missed[[]string](err)
	}
	begun := time.Now()
	l, _, err := c.link(t)
	if err != nil {
		return cluster.Missed[[]string](err)
	}
	links, err := readCampaigns(nodeContext(ctx, t), l.api)
	return cluster.See(links, plain(err, t, time.Since(begun)))
}
