//go:build linux

package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubeTime is how long a request to Kubernetes may take (Kubernetes v1.36
// pkg/kubelet: 10 s, a lease's duration / 4).
const kubeTime = 10 * time.Second

// kubeClient is a client of the Kubernetes API, without the weight of a
// real one in each of the lab's processes.
type kubeClient struct {
	base string
	http func() (*http.Client, error)
}

// newKubeClient returns a client of the server at addr, HOST:PORT, that reads
// its certificate when it first needs it.
//
// It speaks HTTP/1.1, for then a request that was given up takes its connection
// with it, and the next one gets another server from KubePrism. An HTTP/2
// connection to a server without power would be kept for a quarter of an hour.
func newKubeClient(addr string, config func() (*tls.Config, error)) *kubeClient {
	return &kubeClient{
		base: "https://" + addr,
		http: sync.OnceValues(func() (*http.Client, error) {
			config, err := config()
			if err != nil {
				return nil, err
			}
			return &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: kubeTime}, nil
		}),
	}
}

func (c *kubeClient) get(ctx context.Context, path string, into any) error {
	return c.do(ctx, http.MethodGet, path, nil, into)
}

func (c *kubeClient) create(ctx context.Context, path string, o any) error {
	return c.do(ctx, http.MethodPost, path, o, nil)
}

func (c *kubeClient) update(ctx context.Context, path string, o any) error {
	return c.do(ctx, http.MethodPut, path, o, nil)
}

func (c *kubeClient) delete(ctx context.Context, path string) error {
	return c.do(ctx, http.MethodDelete, path, nil, nil)
}

// do sends a request. What the server refuses is an *apierrors.StatusError.
func (c *kubeClient) do(ctx context.Context, method, path string, send, into any) error {
	client, err := c.http()
	if err != nil {
		return err
	}
	var body io.Reader
	if send != nil {
		data, err := json.Marshal(send)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "kubelet")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		var status metav1.Status
		if json.Unmarshal(data, &status) != nil || status.Reason == "" {
			return fmt.Errorf("%s %s: %s", method, path, resp.Status)
		}
		return &apierrors.StatusError{ErrStatus: status}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(data, into)
}
