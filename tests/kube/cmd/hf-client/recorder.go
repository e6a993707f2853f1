package main

import (
	"context"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
)

// recorder runs an informer and prints all that reaches it: each list (LISTED), each watch that it opens
// (OPEN) and each event, bookmarks too, before the informer makes its own of them. It ends with what the
// informer's store holds, and with how often its handlers saw an object twice or an older one.
func (c *client) recorder(ctx context.Context, cmd command) (reply, error) {
	example, err := c.example(cmd)
	if err != nil {
		return nil, err
	}
	informer := cache.NewSharedIndexInformer(c.recordedListWatch(cmd), example, 0, cache.Indexers{})
	if err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		print(reply{"id": cmd.ID, "event": "WATCH_ERROR", "error": err.Error()})
	}); err != nil {
		return nil, err
	}
	var twice, backwards int // the handlers run one after another
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			was, is := version(before), version(after)
			if was == is {
				twice++
			}
			if len(is) < len(was) || len(is) == len(was) && is < was {
				backwards++
			}
		},
	}); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		informer.RunWithContext(ctx)
	}()
	if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		print(reply{"id": cmd.ID, "event": "SYNCED", "count": len(informer.GetStore().ListKeys())})
	}
	<-done
	state := map[string]string{}
	for _, object := range informer.GetStore().List() {
		if m, err := meta.Accessor(object); err == nil {
			state[m.GetName()] = m.GetResourceVersion()
		}
	}
	return reply{"end": "stopped", "state": state, "twice": twice, "backwards": backwards}, nil
}

func version(object any) string {
	m, err := meta.Accessor(object)
	if err != nil {
		return ""
	}
	return m.GetResourceVersion()
}

func (c *client) example(cmd command) (runtime.Object, error) {
	if c.isDynamic() {
		return &unstructured.Unstructured{}, nil
	}
	if c.isPartial() {
		return &metav1.PartialObjectMetadata{}, nil
	}
	switch cmd.Resource {
	case "configmaps":
		return &corev1.ConfigMap{}, nil
	case "pods":
		return &corev1.Pod{}, nil
	default:
		return nil, fmt.Errorf("no recorder for %q", cmd.Resource)
	}
}

func (c *client) recordedListWatch(cmd command) *cache.ListWatch {
	narrow := func(options *metav1.ListOptions) {
		options.LabelSelector, options.FieldSelector = cmd.LabelSelector, cmd.FieldSelector
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			narrow(&options)
			list, err := c.listWith(ctx, cmd, options)
			if err == nil {
				printList(cmd, list)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			narrow(&options)
			initial := options.SendInitialEvents != nil && *options.SendInitialEvents
			stream, err := c.watchWith(ctx, cmd, options)
			if err != nil {
				return nil, err
			}
			print(reply{"id": cmd.ID, "event": "OPEN", "from": options.ResourceVersion, "initial": initial})
			return watch.Filter(stream, func(event watch.Event) (watch.Event, bool) {
				print(eventReply(cmd, event))
				return event, true
			}), nil
		},
	}
}

func printList(cmd command, list runtime.Object) {
	said := reply{"id": cmd.ID, "event": "LISTED"}
	if m, err := meta.ListAccessor(list); err == nil {
		said["resourceVersion"] = m.GetResourceVersion()
	}
	items := []any{}
	_ = meta.EachListItem(list, func(object runtime.Object) error {
		items = append(items, describe(object, false))
		return nil
	})
	said["items"] = items
	print(said)
}

func (c *client) listWith(ctx context.Context, cmd command, options metav1.ListOptions) (runtime.Object, error) {
	if c.isDynamic() {
		return c.dynamicResource(cmd).List(ctx, options)
	}
	if c.isPartial() {
		return c.partial.Resource(cmd.gvr()).Namespace(cmd.Namespace).List(ctx, options)
	}
	return c.request(cmd, "GET").VersionedParams(&options, scheme.ParameterCodec).Do(ctx).Get()
}

func (c *client) watchWith(ctx context.Context, cmd command, options metav1.ListOptions) (watch.Interface, error) {
	if c.isDynamic() {
		return c.dynamicResource(cmd).Watch(ctx, options)
	}
	if c.isPartial() {
		return c.partial.Resource(cmd.gvr()).Namespace(cmd.Namespace).Watch(ctx, options)
	}
	options.Watch = true
	return c.request(cmd, "GET").VersionedParams(&options, scheme.ParameterCodec).Watch(ctx)
}

// sent counts a client's requests by what they ask for, as they leave it.
type sent struct {
	mutex sync.Mutex
	count map[[3]string]int // kind, path, label selector
}

func (s *sent) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		query := request.URL.Query()
		kind := "read"
		switch watching := query.Get("watch"); {
		case request.Method != http.MethodGet:
			kind = "write"
		case (watching == "true" || watching == "1") && query.Get("sendInitialEvents") == "true":
			kind = "watchlist"
		case watching == "true" || watching == "1":
			kind = "watch"
		}
		s.mutex.Lock()
		s.count[[3]string{kind, request.URL.Path, query.Get("labelSelector")}]++
		s.mutex.Unlock()
		return next.RoundTrip(request)
	})
}

// reply shows the counts, in order of the path.
func (s *sent) reply() reply {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	counts := []reply{}
	for key, count := range s.count {
		counts = append(counts, reply{"kind": key[0], "path": key[1], "selector": key[2], "count": count})
	}
	sort.Slice(counts, func(i, j int) bool {
		return strings.Compare(counts[i]["path"].(string), counts[j]["path"].(string)) < 0
	})
	return reply{"requests": counts}
}
