package fault

import "context"

// ServiceRestarter restarts a Talos service on one node. RestartService
// returns when the request was accepted.
type ServiceRestarter interface {
	RestartService(ctx context.Context, id string) error
}

// KubeletRestart restarts the kubelet of a node. Its static pods are reported
// gone for a moment, and an owner of the VIP resigns: the gentlest way to move
// a VIP. The kubelet comes back by itself.
type KubeletRestart struct {
	Restarter ServiceRestarter
}

// Name is "kubelet restart".
func (*KubeletRestart) Name() string { return "kubelet restart" }

// Inject sends the request.
func (f *KubeletRestart) Inject(ctx context.Context) error {
	return f.Restarter.RestartService(ctx, "kubelet")
}

// Recover does nothing: the kubelet comes back by itself.
func (*KubeletRestart) Recover(context.Context) error { return nil }
