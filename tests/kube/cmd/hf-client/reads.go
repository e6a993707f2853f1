package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// reads writes, watches, gets and lists `count` objects (item-00000 and on, of which none is deleted) all at once
// until it is stopped, and prints OLDER for each answer that shows an object older than an earlier answer, event
// or write did, or does not show it at all. What counts as earlier was known before the request was sent.
func (c *client) reads(ctx context.Context, cmd command) (reply, error) {
	r := &reader{client: c, cmd: cmd, floor: map[string]uint64{}, count: map[string]int{}}
	if err := r.listOnce(ctx, metav1.ListOptions{}); err != nil {
		return nil, err
	}
	print(reply{"id": cmd.ID, "event": "READING", "count": len(r.floor)})
	var running sync.WaitGroup
	for number, loop := range []func(context.Context, *rand.Rand){r.write, r.watch, r.get, r.get, r.list} {
		running.Add(1)
		go func() {
			defer running.Done()
			random := rand.New(rand.NewPCG(uint64(cmd.Seed), uint64(number)))
			for ctx.Err() == nil {
				loop(ctx, random)
			}
		}()
	}
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			print(r.counts(reply{"id": cmd.ID, "event": "SO_FAR"}))
		}
	}
	running.Wait()
	return r.counts(reply{"end": "stopped"}), nil
}

type reader struct {
	client *client
	cmd    command
	mutex  sync.Mutex
	floor  map[string]uint64 // by name: the highest resourceVersion seen by any way
	count  map[string]int    // what was done
}

func (r *reader) counts(into reply) reply {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	counts := map[string]int{}
	for what, n := range r.count {
		counts[what] = n
	}
	into["counts"] = counts
	return into
}

func (r *reader) did(what string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.count[what]++
}

// known is a copy of the floors: an answer is measured against what was known when it was asked for.
func (r *reader) known() map[string]uint64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	copied := make(map[string]uint64, len(r.floor))
	for name, version := range r.floor {
		copied[name] = version
	}
	return copied
}

func (r *reader) saw(object runtime.Object) (string, uint64) {
	m, err := meta.Accessor(object)
	if err != nil {
		return "", 0
	}
	version, _ := strconv.ParseUint(m.GetResourceVersion(), 10, 64)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.floor[m.GetName()] = max(r.floor[m.GetName()], version)
	return m.GetName(), version
}

func (r *reader) older(way, name string, got, floor uint64) {
	print(reply{"id": r.cmd.ID, "event": "OLDER", "way": way, "name": name, "got": got, "floor": floor})
}

func (r *reader) some(random *rand.Rand) string { return itemName(random.IntN(max(r.cmd.Count, 1))) }

func (r *reader) write(ctx context.Context, random *rand.Rand) {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"turn":"%d"}}}`, random.Uint64())
	own := r.cmd
	own.Op, own.Name, own.Patch = "patch", r.some(random), []byte(patch)
	object, err := r.client.write(limited, own)
	if err != nil {
		r.did("refused writes")
	} else {
		r.saw(object)
		r.did("writes")
	}
	pause(ctx, r.cmd.Rate)
}

func (r *reader) get(ctx context.Context, random *rand.Rand) {
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	own, known := r.cmd, r.known()
	own.Name = r.some(random)
	object, err := r.client.get(limited, own)
	switch {
	case apierrors.IsNotFound(err):
		r.older("get", own.Name, 0, known[own.Name])
	case err != nil:
		r.did("refused gets")
	default:
		if name, version := r.saw(object); version < known[name] {
			r.older("get", name, version, known[name])
		}
		r.did("gets")
	}
	pause(ctx, 5*r.cmd.Rate)
}

func (r *reader) list(ctx context.Context, random *rand.Rand) {
	options := metav1.ListOptions{}
	if random.IntN(2) == 0 {
		options.LabelSelector = "all=yes"
	}
	if err := r.listOnce(ctx, options); err != nil {
		r.did("refused lists")
	}
	pause(ctx, r.cmd.Rate)
}

func (r *reader) listOnce(ctx context.Context, options metav1.ListOptions) error {
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	known, missing := r.known(), r.known()
	list, err := r.client.listWith(limited, r.cmd, options)
	if err != nil {
		return err
	}
	_ = meta.EachListItem(list, func(object runtime.Object) error {
		name, version := r.saw(object)
		delete(missing, name)
		if version < known[name] {
			r.older("list "+options.LabelSelector, name, version, known[name])
		}
		return nil
	})
	for name, floor := range missing {
		r.older("list "+options.LabelSelector, name, 0, floor)
	}
	r.did("lists")
	return nil
}

// watch follows one stream after another. Events may come later than what was read: they are measured
// against each other alone.
func (r *reader) watch(ctx context.Context, _ *rand.Rand) {
	list, err := r.client.listWith(ctx, r.cmd, metav1.ListOptions{})
	if err != nil {
		pause(ctx, r.cmd.Rate)
		return
	}
	from, err := meta.ListAccessor(list)
	if err != nil {
		return
	}
	stream, err := r.client.watchWith(ctx, r.cmd, metav1.ListOptions{ResourceVersion: from.GetResourceVersion()})
	if err != nil {
		pause(ctx, r.cmd.Rate)
		return
	}
	defer stream.Stop()
	r.did("watches")
	last, _ := strconv.ParseUint(from.GetResourceVersion(), 10, 64)
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-stream.ResultChan():
			if !open || event.Type == watch.Error {
				r.did("watch ends")
				return
			}
			name, version := r.saw(event.Object)
			if version <= last || event.Type == watch.Deleted {
				r.older("watch "+string(event.Type), name, version, last)
			}
			last = version
			r.did("events")
		}
	}
}

func pause(ctx context.Context, rate float64) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(float64(time.Second) / max(rate, 0.1))):
	}
}
