//go:build linux

package apiserver

import (
	"encoding/json"
	"io"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// list is a list of any kind of object.
type list struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []object `json:"items"`
}

// DeepCopyObject copies the list and shares its objects, which nobody changes.
func (l *list) DeepCopyObject() runtime.Object {
	copied := *l
	return &copied
}

// render returns what the client wants to see of the objects: plain, if it
// asks for no table.
func (q *query) render(objects []object, plain runtime.Object, meta *metav1.ListMeta) runtime.Object {
	if !q.table {
		return plain
	}
	table := &metav1.Table{
		TypeMeta:          metav1.TypeMeta{Kind: "Table", APIVersion: metav1.SchemeGroupVersion.String()},
		ColumnDefinitions: q.resource.columns, Rows: []metav1.TableRow{},
	}
	if meta != nil {
		table.ListMeta = *meta
	} else if len(objects) == 1 {
		table.ResourceVersion = objects[0].GetResourceVersion()
	}
	for _, o := range objects {
		table.Rows = append(table.Rows, metav1.TableRow{Cells: q.resource.cells(o), Object: runtime.RawExtension{Object: q.rowObject(o)}})
	}
	return table
}

// rowObject is what a row carries along: by default what all kinds have.
func (q *query) rowObject(o object) runtime.Object {
	switch metav1.IncludeObjectPolicy(q.values.Get("includeObject")) {
	case metav1.IncludeNone:
		return nil
	case metav1.IncludeObject:
		return o
	}
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{Kind: "PartialObjectMetadata", APIVersion: metav1.SchemeGroupVersion.String()},
		ObjectMeta: objectMeta(o),
	}
}

func objectMeta(o object) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: o.GetName(), GenerateName: o.GetGenerateName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
		ResourceVersion: o.GetResourceVersion(), Generation: o.GetGeneration(), CreationTimestamp: o.GetCreationTimestamp(),
		Labels: o.GetLabels(), Annotations: o.GetAnnotations(), OwnerReferences: o.GetOwnerReferences(), Finalizers: o.GetFinalizers(),
	}
}

func (q *query) mediaType() string {
	if q.table {
		return "application/json;as=Table;g=meta.k8s.io;v=v1"
	}
	return "application/json"
}

// writeOne answers with one object.
func (q *query) writeOne(w http.ResponseWriter, code int, o object) {
	writeAs(w, q.mediaType(), code, q.render([]object{o}, o, nil))
}

// writeList answers with a list, whose items name no kind of their own.
func (q *query) writeList(w http.ResponseWriter, objects []object, meta metav1.ListMeta) {
	l := &list{ListMeta: meta, Items: []object{}}
	l.SetGroupVersionKind(q.resource.GroupVersion().WithKind(q.resource.Kind + "List"))
	if !q.table {
		for _, o := range objects {
			o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
			l.Items = append(l.Items, o)
		}
	}
	writeAs(w, q.mediaType(), http.StatusOK, q.render(objects, l, &meta))
}

func writeJSON(w http.ResponseWriter, code int, v any) { writeAs(w, "application/json", code, v) }

func writeAs(w http.ResponseWriter, mediaType string, code int, v any) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-cache, private")
	w.WriteHeader(code)
	_ = encodeLine(w, v) // the client hung up
}

func encodeLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
