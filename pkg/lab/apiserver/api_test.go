//go:build linux

package apiserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
)

// kube returns a stock client with that certificate.
func (c *cluster) kube(t *testing.T, cert, key string) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: "https://" + c.Listen, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.Files.CA, CertFile: cert, KeyFile: key},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never holds that %s", what)
		}
	}
}

// TestStockClient drives the API with client-go. The subtests share a server,
// and each has objects of its own.
func TestStockClient(t *testing.T) {
	c := newCluster(t)
	serve(t, c)
	admin := c.kube(t, c.Files.ClientCert, c.Files.ClientKey)
	eventually(t, "the basics are there", func() bool {
		_, err := admin.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
		return err == nil
	})
	for name, test := range map[string]func(*testing.T, *cluster, *kubernetes.Clientset){
		"a stale update is a conflict":             testConflict,
		"lists select, and come in pages":          testLists,
		"a watch misses nothing":                   testWatchEvents,
		"a watch of the compacted past is 410":     testCompacted,
		"patches of three kinds apply":             testPatches,
		"the status is a resource of its own":      testStatus,
		"a kubelet may do its work and no more":    testKubelet,
		"a namespace holds objects, and ends them": testNamespace,
		"refusals say why":                         testRefusals,
		"who asks about itself is answered":        testReviews,
		"a deletion need not say its kind":         testDeletion,
	} {
		t.Run(name, func(t *testing.T) { test(t, c, admin) })
	}
}

func configMap(name string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Data: map[string]string{"n": "0"}}
}

func testConflict(t *testing.T, _ *cluster, kube *kubernetes.Clientset) {
	maps := kube.CoreV1().ConfigMaps("default")
	first, err := maps.Create(t.Context(), configMap("conflict", nil), metav1.CreateOptions{})
	if err != nil || first.ResourceVersion == "" || first.UID == "" || first.CreationTimestamp.IsZero() {
		t.Fatalf("Create() = %+v, %v; want a version, a UID and a time", first, err)
	}
	if _, err := maps.Create(t.Context(), configMap("conflict", nil), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a second Create() = %v; want AlreadyExists", err)
	}
	stale := first.DeepCopy()
	first.Data["n"] = "1"
	second, err := maps.Update(t.Context(), first, metav1.UpdateOptions{})
	if err != nil || second.ResourceVersion == stale.ResourceVersion || second.UID != stale.UID {
		t.Fatalf("Update() = %+v, %v; want a new version of the same object", second, err)
	}
	stale.Data["n"] = "2"
	if _, err := maps.Update(t.Context(), stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("Update() of a stale object = %v; want a conflict", err)
	}
	stale.ResourceVersion = ""
	if got, err := maps.Update(t.Context(), stale, metav1.UpdateOptions{}); err != nil || got.Data["n"] != "2" {
		t.Errorf("Update() without a version = %v, %v; want it done", got, err)
	}
	wrong := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: new(types.UID("another"))}}
	if err := maps.Delete(t.Context(), "conflict", wrong); !apierrors.IsConflict(err) {
		t.Errorf("Delete() of another UID = %v; want a conflict", err)
	}
	if err := maps.Delete(t.Context(), "conflict", metav1.DeleteOptions{}); err != nil {
		t.Errorf("Delete() = %v; want nil", err)
	}
	if _, err := maps.Get(t.Context(), "conflict", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("Get() of what is deleted = %v; want NotFound", err)
	}
}

func testLists(t *testing.T, _ *cluster, kube *kubernetes.Clientset) {
	maps := kube.CoreV1().ConfigMaps("default")
	for _, name := range []string{"list-a", "list-b", "list-c"} {
		if _, err := maps.Create(t.Context(), configMap(name, map[string]string{"of": "lists", "name": name}), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		options metav1.ListOptions
		want    string
	}{
		{metav1.ListOptions{LabelSelector: "of=lists"}, "list-a list-b list-c"},
		{metav1.ListOptions{LabelSelector: "of=lists,name notin (list-a)"}, "list-b list-c"},
		{metav1.ListOptions{FieldSelector: "metadata.name=list-b"}, "list-b"},
		{metav1.ListOptions{LabelSelector: "of=nothing"}, ""},
	} {
		var got []string
		list, err := maps.List(t.Context(), test.options)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			got = append(got, item.Name)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("List(%+v) = %q; want %q", test.options, got, test.want)
		}
	}
	// Pages are of the instant of the first.
	options, pages, seen := metav1.ListOptions{Limit: 1}, 0, map[string]int{}
	for {
		list, err := maps.List(t.Context(), options)
		if err != nil || len(list.Items) > 1 {
			t.Fatalf("List(%+v) = %d items, %v; want at most one", options, len(list.Items), err)
		}
		for _, item := range list.Items {
			seen[item.Name]++
		}
		if pages++; pages == 1 {
			_ = maps.Delete(t.Context(), "list-c", metav1.DeleteOptions{})
		}
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
	}
	if seen["list-a"] != 1 || seen["list-b"] != 1 || seen["list-c"] != 1 {
		t.Errorf("pages had %v; want each of the three once", seen)
	}
	_, err := maps.List(t.Context(), metav1.ListOptions{FieldSelector: "data.n=0"})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("List() by a field that is none = %v; want a bad request", err)
	}
}

// next returns a watch's next event.
func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case e, open := <-w.ResultChan():
		if !open {
			t.Fatal("the watch ended")
		}
		return e
	case <-time.After(patience):
		t.Fatal("the watch is silent")
	}
	return watch.Event{}
}

func testWatchEvents(t *testing.T, _ *cluster, kube *kubernetes.Clientset) {
	maps := kube.CoreV1().ConfigMaps("default")
	list, err := maps.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// What happens before the watch begins is part of it too.
	o, err := maps.Create(t.Context(), configMap("watch", map[string]string{"seen": "yes"}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := maps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion, LabelSelector: "seen=yes"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	step := func(want watch.EventType, value string) {
		t.Helper()
		e := next(t, w)
		got, ok := e.Object.(*corev1.ConfigMap)
		if !ok || e.Type != want || got.Name != "watch" || got.Data["n"] != value {
			t.Fatalf("event = %s %+v; want %s with %q", e.Type, e.Object, want, value)
		}
		if got.ResourceVersion != o.ResourceVersion && want != watch.Deleted {
			t.Errorf("%s has version %s; want %s", want, got.ResourceVersion, o.ResourceVersion)
		}
	}
	change := func(value string, labels map[string]string) {
		t.Helper()
		o.Data["n"], o.Labels = value, labels
		if o, err = maps.Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	step(watch.Added, "0")
	change("1", o.Labels)
	step(watch.Modified, "1")
	change("2", nil) // out of the selector's sight
	step(watch.Deleted, "2")
	change("3", nil)
	change("4", map[string]string{"seen": "yes"})
	step(watch.Added, "4")
	if err := maps.Delete(t.Context(), "watch", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	step(watch.Deleted, "4")
}

func testCompacted(t *testing.T, c *cluster, kube *kubernetes.Clientset) {
	maps := kube.CoreV1().ConfigMaps("default")
	old, err := maps.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"compact-a", "compact-b"} {
		if _, err := maps.Create(t.Context(), configMap(name, nil), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	client, err := etcd.Client(c.Etcd, c.EtcdEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	resp, err := client.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	w, err := maps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: old.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if e := next(t, w); e.Type != watch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
		t.Errorf("event = %s %v; want that the version has expired", e.Type, e.Object)
	}
}

func testPatches(t *testing.T, _ *cluster, kube *kubernetes.Clientset) {
	nodes := kube.CoreV1().Nodes()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "patch"}, Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a", Effect: "NoSchedule"}}}}
	if _, err := nodes.Create(t.Context(), n, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		kind        types.PatchType
		patch, want string
	}{
		{types.StrategicMergePatchType, `{"spec":{"taints":[{"key":"b","effect":"NoSchedule"}]}}`, "b"}, // taints have no merge strategy
		{types.MergePatchType, `{"spec":{"taints":[{"key":"c","effect":"NoSchedule"},{"key":"d","effect":"NoExecute"}]}}`, "c d"},
		{types.JSONPatchType, `[{"op":"remove","path":"/spec/taints/0"}]`, "d"},
		{types.StrategicMergePatchType, `{"spec":{"taints":null}}`, ""},
	} {
		got, err := nodes.Patch(t.Context(), "patch", test.kind, []byte(test.patch), metav1.PatchOptions{})
		if err != nil {
			t.Fatalf("Patch(%s %s) = %v", test.kind, test.patch, err)
		}
		var keys []string
		for _, taint := range got.Spec.Taints {
			keys = append(keys, taint.Key)
		}
		if strings.Join(keys, " ") != test.want {
			t.Errorf("Patch(%s %s) leaves taints %q; want %q", test.kind, test.patch, keys, test.want)
		}
	}
	// Conditions merge by their type.
	for _, patch := range []string{`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`, `{"status":{"conditions":[{"type":"DiskPressure","status":"False"}]}}`} {
		if _, err := nodes.PatchStatus(t.Context(), "patch", []byte(patch)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := nodes.Get(t.Context(), "patch", metav1.GetOptions{}); err != nil || len(got.Status.Conditions) != 2 {
		t.Errorf("conditions after two patches = %v, %v; want both", got.Status.Conditions, err)
	}
	_, err := nodes.Patch(t.Context(), "patch", types.MergePatchType, []byte(`{"metadata":{"resourceVersion":"1"}}`), metav1.PatchOptions{})
	if !apierrors.IsConflict(err) {
		t.Errorf("Patch() of version 1 = %v; want a conflict", err)
	}
}

func testStatus(t *testing.T, _ *cluster, kube *kubernetes.Clientset) {
	nodes := kube.CoreV1().Nodes()
	n, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "status"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.Status.Phase, n.Spec.Unschedulable = "Running", true
	if n, err = nodes.UpdateStatus(t.Context(), n, metav1.UpdateOptions{}); err != nil || n.Status.Phase != "Running" || n.Spec.Unschedulable {
		t.Fatalf("UpdateStatus() = %+v, %v; want the status changed and the spec kept", n, err)
	}
	n.Status.Phase, n.Spec.Unschedulable = "Pending", true
	if n, err = nodes.Update(t.Context(), n, metav1.UpdateOptions{}); err != nil || n.Status.Phase != "Running" || !n.Spec.Unschedulable {
		t.Fatalf("Update() = %+v, %v; want the spec changed and the status kept", n, err)
	}
}

func testKubelet(t *testing.T, c *cluster, _ *kubernetes.Clientset) {
	files, err := c.secrets.KubeletFiles(t.TempDir(), "cp-1")
	if err != nil {
		t.Fatal(err)
	}
	kubelet := c.kube(t, files.Cert, files.Key)
	lease := func(node string) error {
		_, err := kubelet.CoordinationV1().Leases("kube-node-lease").Update(t.Context(),
			&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: node}}, metav1.UpdateOptions{})
		return err
	}
	if err := lease("cp-1"); !apierrors.IsNotFound(err) {
		t.Errorf("updating its own lease = %v; want that it is allowed, and not there", err)
	}
	if err := lease("cp-2"); !apierrors.IsForbidden(err) {
		t.Errorf("updating another's lease = %v; want that it is forbidden", err)
	}
	if _, err := kubelet.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("listing nodes = %v; want nil", err)
	}
	_, err = kubelet.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("kubelet", nil), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `User "system:node:cp-1" cannot create resource "configmaps" in API group "" in the namespace "default"`) {
		t.Errorf("creating a config map = %v; want that it is forbidden", err)
	}
}

func testNamespace(t *testing.T, _ *cluster, kube *kubernetes.Clientset) {
	maps := kube.CoreV1().ConfigMaps("space")
	if _, err := maps.Create(t.Context(), configMap("a", nil), metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("creating in a namespace that is not there = %v; want NotFound", err)
	}
	spaces := kube.CoreV1().Namespaces()
	if _, err := spaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "space"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Create(t.Context(), configMap("a", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := spaces.Delete(t.Context(), "space", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if list, err := maps.List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		t.Errorf("List() in a deleted namespace = %v, %v; want nothing", list.Items, err)
	}
	if err := spaces.Delete(t.Context(), "kube-system", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("deleting kube-system = %v; want that it is forbidden", err)
	}
}

func testRefusals(t *testing.T, _ *cluster, kube *kubernetes.Clientset) {
	maps := kube.CoreV1().ConfigMaps("default")
	if _, err := maps.Create(t.Context(), configMap("No_Name", nil), metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a name with capitals = %v; want that it is invalid", err)
	}
	dry, err := maps.Create(t.Context(), configMap("dry", nil), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil || dry.UID == "" {
		t.Errorf("a dry run = %v, %v; want the object", dry, err)
	}
	if _, err := maps.Get(t.Context(), "dry", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("Get() after a dry run = %v; want NotFound", err)
	}
	if _, err := kube.AppsV1().StatefulSets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a kind that is not served = %v; want NotFound", err)
	}
}

func testDeletion(t *testing.T, _ *cluster, kube *kubernetes.Clientset) {
	maps := kube.CoreV1().ConfigMaps("default")
	if _, err := maps.Create(t.Context(), configMap("gone", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	request := kube.CoreV1().RESTClient().Delete().AbsPath("/api/v1/namespaces/default/configmaps/gone")
	err := request.SetHeader("Content-Type", "application/json").Body([]byte(`{"propagationPolicy":"Background"}`)).Do(t.Context()).Error()
	if _, left := maps.Get(t.Context(), "gone", metav1.GetOptions{}); err != nil || !apierrors.IsNotFound(left) {
		t.Errorf("deleting = %v and then Get() = %v; want that it is gone", err, left)
	}
}

func testReviews(t *testing.T, _ *cluster, kube *kubernetes.Clientset) {
	access := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "delete", Resource: "nodes", Name: "cp-1"},
	}}
	answer, err := kube.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), access, metav1.CreateOptions{})
	if err != nil || !answer.Status.Allowed {
		t.Errorf("may an admin delete nodes? = %v, %v; want that it is allowed", answer, err)
	}
	who, err := kube.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || len(who.Status.UserInfo.Groups) != 2 || who.Status.UserInfo.Groups[0] != "system:masters" {
		t.Errorf("who am I? = %v, %v; want one of system:masters", who, err)
	}
}

func TestUnreadyServerIsAliveAndServes(t *testing.T) {
	c := newCluster(t)
	c.UnreadyFile = filepath.Join(t.TempDir(), "unready")
	serve(t, c)
	client := c.client(t, true, true)
	expect := func(path string, code int, want string) {
		t.Helper()
		if response, body := c.get(t, client, path); response.StatusCode != code || !strings.Contains(body, want) {
			t.Errorf("GET %s = %d %q; want %d with %q", path, response.StatusCode, body, code, want)
		}
	}
	expect("/readyz", 200, "ok")
	if err := os.WriteFile(c.UnreadyFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	expect("/readyz", 500, "[+]etcd ok\n[+]etcd-readiness ok\n[-]informer-sync failed: reason withheld\n[+]shutdown ok\nreadyz check failed\n")
	expect("/readyz/informer-sync", 500, "internal server error")
	expect("/readyz?exclude=informer-sync", 200, "ok")
	expect("/livez", 200, "ok")
	expect("/api/v1/nodes", 200, "NodeList")
	if err := os.Remove(c.UnreadyFile); err != nil {
		t.Fatal(err)
	}
	expect("/readyz", 200, "ok")
}
