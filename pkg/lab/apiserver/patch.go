//go:build linux

package apiserver

import (
	"encoding/json"
	"fmt"
	"mime"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// patched returns what the patch makes of the object, in JSON.
func patched(r *resource, old object, media string, patch []byte) ([]byte, error) {
	data, err := json.Marshal(r.typed(old))
	if err != nil {
		return nil, err
	}
	kind, _, err := mime.ParseMediaType(media)
	if err != nil {
		kind = media
	}
	var out []byte
	switch types.PatchType(kind) {
	case types.JSONPatchType:
		var p jsonpatch.Patch
		if p, err = jsonpatch.DecodePatch(patch); err == nil {
			out, err = p.Apply(data)
		}
	case types.MergePatchType:
		out, err = jsonpatch.MergePatch(data, patch)
	case types.StrategicMergePatchType:
		out, err = strategicpatch.StrategicMergePatch(data, patch, r.fresh())
	default:
		return nil, unsupportedMedia(media, string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType))
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the patch does not apply: %v", err))
	}
	return out, nil
}
