//go:build linux

package apiserver

import (
	"mime"
	"net/http"
	"path"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// discover registers the answers to what is served here.
func (c *catalog) discover(mux *http.ServeMux, server string) {
	var core, named []schema.GroupVersion
	for _, gv := range c.versions() {
		if gv.Group == "" {
			core = append(core, gv)
		} else {
			named = append(named, gv)
		}
		answer(mux, urlOf(gv), c.resourceList(gv))
		answer(mux, "/openapi/v3"+urlOf(gv), c.openAPI(gv))
	}
	versions := &metav1.APIVersions{
		TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"},
		ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: server}},
	}
	groups := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{}}
	for _, gv := range named {
		group := apiGroup(gv)
		groups.Groups = append(groups.Groups, group)
		group.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
		answer(mux, "/apis/"+gv.Group, group)
	}
	aggregated(mux, "/api", c.groupDiscovery(core), versions)
	aggregated(mux, "/apis", c.groupDiscovery(named), groups)
	index := map[string]any{}
	for _, gv := range c.versions() {
		index[strings.TrimPrefix(urlOf(gv), "/")] = map[string]string{"serverRelativeURL": "/openapi/v3" + urlOf(gv)}
	}
	answer(mux, "/openapi/v3", map[string]any{"paths": index})
}

func urlOf(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "/api/" + gv.Version
	}
	return path.Join("/apis", gv.Group, gv.Version)
}

func answer(mux *http.ServeMux, path string, v any) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, v) })
}

// aggregated answers with everything at once to clients that ask for it, and
// the old way to the rest.
func aggregated(mux *http.ServeMux, path string, all *apidiscoveryv2.APIGroupDiscoveryList, old any) {
	const media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		for clause := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
			_, params, err := mime.ParseMediaType(clause)
			if err == nil && params["as"] == "APIGroupDiscoveryList" && params["v"] == "v2" && params["g"] == "apidiscovery.k8s.io" {
				writeAs(w, media, http.StatusOK, all)
				return
			}
		}
		writeJSON(w, http.StatusOK, old)
	})
}

func apiGroup(gv schema.GroupVersion) metav1.APIGroup {
	version := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
	return metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version}
}

func (c *catalog) resourceList(gv schema.GroupVersion) *metav1.APIResourceList {
	l := &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	for _, r := range c.of(gv) {
		l.APIResources = append(l.APIResources, metav1.APIResource{
			Name: r.plural, SingularName: r.singular, Namespaced: r.namespaced, Kind: r.Kind, Verbs: r.verbs(), ShortNames: r.short,
			Categories: r.categories(),
		})
		if r.setStatus != nil {
			l.APIResources = append(l.APIResources, metav1.APIResource{
				Name: r.plural + "/status", Namespaced: r.namespaced, Kind: r.Kind, Verbs: []string{"patch", "update"},
			})
		}
	}
	return l
}

func (c *catalog) groupDiscovery(versions []schema.GroupVersion) *apidiscoveryv2.APIGroupDiscoveryList {
	l := &apidiscoveryv2.APIGroupDiscoveryList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupDiscoveryList", APIVersion: apidiscoveryv2.SchemeGroupVersion.String()},
	}
	for _, gv := range versions {
		version := apidiscoveryv2.APIVersionDiscovery{Version: gv.Version, Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent}
		for _, r := range c.of(gv) {
			version.Resources = append(version.Resources, r.discovery())
		}
		l.Items = append(l.Items, apidiscoveryv2.APIGroupDiscovery{
			ObjectMeta: metav1.ObjectMeta{Name: gv.Group}, Versions: []apidiscoveryv2.APIVersionDiscovery{version},
		})
	}
	return l
}

func (r *resource) discovery() apidiscoveryv2.APIResourceDiscovery {
	kind := &metav1.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
	d := apidiscoveryv2.APIResourceDiscovery{
		Resource: r.plural, SingularResource: r.singular, ShortNames: r.short,
		ResponseKind: kind, Scope: apidiscoveryv2.ScopeCluster, Verbs: r.verbs(), Categories: r.categories(),
	}
	if r.namespaced {
		d.Scope = apidiscoveryv2.ScopeNamespace
	}
	if r.setStatus != nil {
		d.Subresources = []apidiscoveryv2.APISubresourceDiscovery{{Subresource: "status", ResponseKind: kind, Verbs: []string{"patch", "update"}}}
	}
	return d
}

// openAPI says no more than that each kind can be patched and that the server
// checks fields, which is what kubectl looks for before it leaves that to it.
func (c *catalog) openAPI(gv schema.GroupVersion) any {
	paths := map[string]any{}
	for _, r := range c.of(gv) {
		if r.review != nil {
			continue
		}
		where := urlOf(gv)
		if r.namespaced {
			where += "/namespaces/{namespace}"
		}
		paths[where+"/"+r.plural+"/{name}"] = map[string]any{"patch": map[string]any{
			"parameters":                      []any{map[string]any{"name": "fieldValidation", "in": "query", "schema": map[string]any{"type": "string"}}},
			"responses":                       map[string]any{"200": map[string]any{"description": "OK"}},
			"x-kubernetes-group-version-kind": map[string]any{"group": r.Group, "version": r.Version, "kind": r.Kind},
		}}
	}
	return map[string]any{
		"openapi": "3.0.0", "info": map[string]any{"title": "Kubernetes", "version": "unversioned"}, "paths": paths,
	}
}
