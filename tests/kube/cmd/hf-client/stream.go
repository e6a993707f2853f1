package main

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// watch prints one line per event until the stream ends or the command is stopped.
func (c *client) watch(ctx context.Context, cmd command) (reply, error) {
	stream, err := c.watchWith(ctx, cmd, cmd.listOptions())
	if err != nil {
		return nil, err
	}
	defer stream.Stop()
	print(reply{"id": cmd.ID, "event": "OPEN"})
	events := 0
	for {
		select {
		case <-ctx.Done():
			return reply{"events": events, "end": "stopped"}, nil
		case event, open := <-stream.ResultChan():
			if !open {
				return reply{"events": events, "end": "closed"}, nil
			}
			events++
			print(eventReply(cmd, event))
		}
	}
}

func eventReply(cmd command, event watch.Event) reply {
	r := reply{"id": cmd.ID, "event": event.Type}
	if event.Type == watch.Error {
		status := errorReply(apierrors.FromObject(event.Object))
		r["code"], r["reason"], r["error"] = status["code"], status["reason"], status["error"]
		return r
	}
	r["object"] = describe(event.Object, cmd.Full)
	if m, ok := event.Object.(metav1.Object); ok && m.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
		r["initialEventsEnd"] = true
	}
	return r
}

// informer runs a shared informer, the way controllers read: whether it lists or streams its first
// state is client-go's choice (the gate WatchListClient). It prints SYNCED once and then each change.
func (c *client) informer(ctx context.Context, cmd command) (reply, error) {
	informer, err := c.newInformer(cmd)
	if err != nil {
		return nil, err
	}
	if err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		print(reply{"id": cmd.ID, "event": "WATCH_ERROR", "error": err.Error()})
	}); err != nil {
		return nil, err
	}
	show := func(event string, value any) {
		if tombstone, ok := value.(cache.DeletedFinalStateUnknown); ok {
			value = tombstone.Obj
		}
		if object, ok := value.(runtime.Object); ok {
			print(reply{"id": cmd.ID, "event": event, "object": describe(object, cmd.Full)})
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(value any) { show("ADDED", value) },
		UpdateFunc: func(_, value any) { show("MODIFIED", value) },
		DeleteFunc: func(value any) { show("DELETED", value) },
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
	return reply{"end": "stopped", "keys": informer.GetStore().ListKeys()}, nil
}

func (c *client) newInformer(cmd command) (cache.SharedIndexInformer, error) {
	tweak := func(o *metav1.ListOptions) {
		o.LabelSelector, o.FieldSelector = cmd.LabelSelector, cmd.FieldSelector
	}
	if c.isDynamic() {
		factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(c.dynamic, 0, cmd.Namespace, tweak)
		return factory.ForResource(cmd.gvr()).Informer(), nil
	}
	factory := informers.NewSharedInformerFactoryWithOptions(c.typed, 0,
		informers.WithNamespace(cmd.Namespace), informers.WithTweakListOptions(tweak))
	generic, err := factory.ForResource(cmd.gvr())
	if err != nil {
		return nil, fmt.Errorf("no informer for %v: %w", cmd.gvr(), err)
	}
	return generic.Informer(), nil
}
