package probe

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"sync"
)

// Fingerprint is the SHA-256 of a certificate in DER.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns a certificate's fingerprint.
func FingerprintOf(cert *x509.Certificate) Fingerprint {
	return sha256.Sum256(cert.Raw)
}

// ParseFingerprint reads what String writes; ok is false for anything else.
func ParseFingerprint(text string) (f Fingerprint, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(f) {
		return f, false
	}
	return Fingerprint(raw), true
}

// String returns it in lower-case hex.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Hosts knows which node serves with which certificate. Talos makes a new one
// when a node boots, so it is learned again and again, from the nodes' own
// addresses. The zero value knows nobody. It is safe for concurrent use.
type Hosts struct {
	mu    sync.RWMutex
	names map[Fingerprint]string // mu guards it
}

// NewHosts returns hosts that know the nodes given.
func NewHosts(names map[Fingerprint]string) *Hosts {
	var h Hosts
	for f, name := range names {
		h.Learn(f, name)
	}
	return &h
}

// Learn notes that the node serves with this certificate. What it served with
// before is not forgotten: it has been that node's.
func (h *Hosts) Learn(f Fingerprint, node string) {
	if known, ok := h.Name(f); ok && known == node {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names == nil {
		h.names = map[Fingerprint]string{}
	}
	h.names[f] = node
}

// Name returns the node that serves, or did, with this certificate; false where
// it was not learned.
func (h *Hosts) Name(f Fingerprint) (string, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	name, ok := h.names[f]
	return name, ok
}
