package talos

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// member is a node as Collect last saw it.
type member struct {
	target   target
	hostname string // "" where it did not say
}

// NodeClient acts on one node, directly. Each call has the client's timeout, and
// one that changes anything is sent exactly once. Right before such a call the
// node is asked for its host name, and nothing is sent to a machine of another
// name: an address may have moved since it was learned.
type NodeClient struct {
	client *Client
	name   string
	member member
	err    error
}

// Node returns the node of that name or address, as Collect last saw it. An
// address that Collect did not see is taken as it is. Where there is no such
// node, or no address of its own is known, every call returns an error that says so.
func (c *Client) Node(name string) *NodeClient {
	n := &NodeClient{client: c, name: name}
	c.mu.Lock()
	m, ok := c.nodes[name]
	c.mu.Unlock()
	if ok {
		if n.member = m; m.target == (target{}) {
			n.err = errHomeless // an endpoint would answer in its place
		}
		return n
	}
	addr, err := netip.ParseAddr(name)
	if err != nil {
		n.err = fmt.Errorf("no control-plane node is called %q", name)
		return n
	}
	n.member.target = c.targetOf(addr.Unmap())
	return n
}

var rebootModes = map[string]machineapi.RebootRequest_Mode{
	"default":    machineapi.RebootRequest_DEFAULT,
	"powercycle": machineapi.RebootRequest_POWERCYCLE,
	"force":      machineapi.RebootRequest_FORCE,
}

// Reboot asks for a reboot: "default", "powercycle" (without kexec, no less
// graceful) or "force". Talos before 1.12 silently takes force for default. That
// it returns nil means accepted, and no more.
func (n *NodeClient) Reboot(ctx context.Context, mode string) error {
	m, ok := rebootModes[mode]
	if !ok {
		return fmt.Errorf("no reboot mode is called %q", mode)
	}
	return n.call(ctx, "reboot", func(ctx context.Context, api *talosclient.Client) error {
		return api.Reboot(ctx, talosclient.WithRebootMode(m))
	})
}

// Shutdown asks the node to power itself off. force skips the drain, during
// which the node keeps the VIP. That it returns nil means accepted.
func (n *NodeClient) Shutdown(ctx context.Context, force bool) error {
	return n.call(ctx, "shutdown", func(ctx context.Context, api *talosclient.Client) error {
		return api.Shutdown(ctx, talosclient.WithShutdownForce(force))
	})
}

// RestartService restarts a service. Talos restarts only the kubelet and
// extension services (ext-...) so.
func (n *NodeClient) RestartService(ctx context.Context, id string) error {
	return n.call(ctx, "restart of service "+id, func(ctx context.Context, api *talosclient.Client) error {
		_, err := api.ServiceRestart(ctx, id)
		return err
	})
}

// BootTime is when the node's kernel started, in whole seconds. It changes with
// every reboot, those through kexec included.
func (n *NodeClient) BootTime(ctx context.Context) (time.Time, error) {
	var at time.Time
	err := n.call(ctx, "boot time", func(ctx context.Context, api *talosclient.Client) (err error) {
		at, err = readBootTime(ctx, api)
		return err
	})
	return at, err
}

// call makes sure that it speaks to the right machine, then asks once.
func (n *NodeClient) call(ctx context.Context, what string, do func(context.Context, *talosclient.Client) error) error {
	if n.err != nil {
		return &CallError{Node: n.name, Call: what, Err: n.err, hint: "see the nodes with: vipctl owner -o wide"}
	}
	ctx, cancel := context.WithTimeout(ctx, n.client.cfg.Timeout)
	defer cancel()
	ctx = nodeContext(ctx, n.member.target)
	begun := time.Now()
	l, err := n.connect(ctx)
	if err != nil {
		return n.failed(what, err, begun, false)
	}
	if err := do(ctx, l.api); err != nil {
		return n.failed(what, err, begun, !answered(err))
	}
	return nil
}

var errOtherMachine = errors.New("another machine answers there")

// connect returns a connection that has just proved to be alive and to lead to
// this node.
func (n *NodeClient) connect(ctx context.Context) (*link, error) {
	t := n.member.target
	for {
		l, reused, err := n.client.link(t)
		if err != nil {
			return nil, err
		}
		var name string
		if err = l.ready(ctx); err == nil {
			name, err = readHostname(ctx, l.api)
		}
		switch {
		case err == nil && n.member.hostname != "" && name != n.member.hostname:
			return nil, fmt.Errorf("%w: it is called %s, not %s", errOtherMachine, name, n.member.hostname)
		case err == nil:
			return l, nil
		case answered(err):
			return nil, err
		}
		if t.node == "" {
			n.client.drop(t, l)
		}
		if !reused || ctx.Err() != nil {
			return nil, err
		}
	}
}

func (n *NodeClient) failed(what string, err error, begun time.Time, unsure bool) error {
	e := &CallError{Node: n.name, Call: what, Unsure: unsure, Err: plain(err, n.member.target, time.Since(begun))}
	switch {
	case errors.Is(err, errOtherMachine):
		e.Err = err
		e.hint = "look again with: vipctl owner -o wide"
	case status.Code(err) == codes.PermissionDenied:
		e.hint = "this needs the role os:operator or os:admin: talosctl config new --roles os:operator, and --talosconfig"
	case status.Code(err) == codes.FailedPrecondition && strings.Contains(err.Error(), "container mode"):
		e.hint = "a cluster in containers cannot be rebooted; drills need machines, or: vipctl lab"
	}
	return e
}
