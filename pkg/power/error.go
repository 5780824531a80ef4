package power

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"
)

// Error is what went wrong at a power switch. It names the switch and never a
// password.
type Error struct {
	URL    string // the switch
	Doing  string // "state", or the Action
	Err    error
	Remedy string // for Hint; may be ""
}

func (e *Error) Error() string { return fmt.Sprintf("power switch %s: %s: %v", e.URL, e.Doing, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to try.
func (e *Error) Hint() string { return e.Remedy }

// explained is a reason that brings its own hint.
type explained struct{ reason, hint string }

func (e *explained) Error() string { return e.reason }

// explain finds the short reason, and a hint, in what gofish and net/http say.
func explain(err error) (hint string, reason error) {
	err = unfold(err)
	var (
		known *explained
		reply *schemas.Error
		cert  *tls.CertificateVerificationError
		asked *url.Error
	)
	switch {
	case errors.As(err, &known):
		return known.hint, known
	case errors.As(err, &reply):
		return explainReply(reply)
	case errors.Is(err, context.DeadlineExceeded):
		return "check that the BMC is up and that its address is right", fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	case errors.As(err, &cert):
		return "name the BMC's certificate authority with caFile, or set insecureSkipVerify", cert
	case errors.As(err, &asked): // it repeats the URL
		return "", asked.Err
	default:
		return "", err
	}
}

// explainReply is for an HTTP answer that is an error.
func explainReply(reply *schemas.Error) (hint string, reason error) {
	code := reply.HTTPReturnedStatusCode
	text := fmt.Sprintf("HTTP %d %s", code, http.StatusText(code))
	if said := said(reply); said != "" {
		text += ": " + said
	}
	switch code {
	case http.StatusUnauthorized:
		hint = "check username and password of this power switch in the configuration file"
	case http.StatusForbidden:
		hint = "the BMC's user may log in but not do this; give it the privilege ConfigureComponents"
	}
	return hint, errors.New(text)
}

// said is what the BMC wrote besides the status, on one line and cut short.
func said(reply *schemas.Error) string {
	texts := []string{reply.Message}
	for _, info := range reply.ExtendedInfos {
		texts = append(texts, info.Message)
	}
	const most = 200
	text := strings.Join(strings.Fields(strings.Join(texts, " ")), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// unfold opens gofish's map of failures, which hides its errors from
// errors.As.
func unfold(err error) error {
	var many *schemas.CollectionError
	if !errors.As(err, &many) {
		return err
	}
	var all []error
	for _, link := range slices.Sorted(maps.Keys(many.Failures)) {
		all = append(all, many.Failures[link])
	}
	return errors.Join(all...)
}
