//go:build linux

package apiserver

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// maxBody is the largest object (Kubernetes v1.36: MaxRequestBodyBytes).
const maxBody = 3 << 20

// read decodes the request's body, as strictly as the client asks for.
func (a *api) read(r *http.Request, q *query) (object, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return a.parse(q, r.Header.Get("Content-Type"), body)
}

// decoder reads what a client sends.
func (a *api) decoder(media string, strict bool) (runtime.Decoder, error) {
	switch {
	case media == runtime.ContentTypeProtobuf:
		return a.catalog.protobuf, nil
	case media != "" && !strings.HasPrefix(media, runtime.ContentTypeJSON):
		return nil, unsupportedMedia(media, runtime.ContentTypeJSON, runtime.ContentTypeProtobuf)
	case strict:
		return a.catalog.strict, nil
	}
	return a.catalog.lax, nil
}

func (a *api) parse(q *query, media string, body []byte) (object, error) {
	serializer, err := a.decoder(media, q.values.Get("fieldValidation") == metav1.FieldValidationStrict)
	if err != nil {
		return nil, err
	}
	decoded, kind, err := serializer.Decode(body, &q.resource.GroupVersionKind, q.resource.fresh())
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v",
			q.resource.Kind, q.resource.Version, q.resource.Kind, err))
	}
	if *kind != q.resource.GroupVersionKind {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the object provided is a %s, not a %s", kind, q.resource.GroupVersionKind))
	}
	o := decoded.(object) // everything in the scheme is one
	if ns := o.GetNamespace(); q.resource.namespaced && ns != "" && ns != q.namespace {
		return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	o.SetNamespace(q.namespace)
	o.SetManagedFields(nil)
	return o, nil
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if len(body) > maxBody {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxBody))
	}
	return body, nil
}

// deleteOptions reads how an object is to be deleted.
func (a *api) deleteOptions(r *http.Request) (*metav1.DeleteOptions, error) {
	options := &metav1.DeleteOptions{}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		decoder, err := a.decoder(r.Header.Get("Content-Type"), false)
		if err != nil {
			return nil, err
		}
		if _, _, err := decoder.Decode(body, new(metav1.SchemeGroupVersion.WithKind("DeleteOptions")), options); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	if options.Preconditions == nil {
		options.Preconditions = &metav1.Preconditions{}
	}
	return options, nil
}
