package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

const churnWorkers = 8

// churn keeps a namespace in motion until it is stopped: `count` objects are made (FILLED), then `rate` writes
// a second create, update, delete and relabel them at random. Half of them carry flip=on. What fails because no
// API server is there is tried again later; what happened is in etcd, not in here.
func (c *client) churn(ctx context.Context, cmd command) (reply, error) {
	var writes, failures atomic.Int64
	workers := make([]*churner, churnWorkers)
	var filled sync.WaitGroup
	for number := range workers {
		worker := &churner{
			client: c, cmd: cmd, random: rand.New(rand.NewPCG(uint64(cmd.Seed), uint64(number))),
			there: map[int]bool{}, writes: &writes, failures: &failures,
		}
		for index := number; index < cmd.Count; index += churnWorkers {
			worker.own = append(worker.own, index)
		}
		workers[number] = worker
		filled.Add(1)
		go func() {
			defer filled.Done()
			worker.fill(ctx)
		}()
	}
	filled.Wait()
	print(reply{"id": cmd.ID, "event": "FILLED", "count": cmd.Count})
	var running sync.WaitGroup
	for _, worker := range workers {
		running.Add(1)
		go func() {
			defer running.Done()
			worker.run(ctx, time.Duration(float64(time.Second)*churnWorkers/max(cmd.Rate, 0.1)))
		}()
	}
	running.Wait()
	return reply{"end": "stopped", "writes": writes.Load(), "failures": failures.Load()}, nil
}

// churner writes objects of its own, so that two never race for one.
type churner struct {
	client           *client
	cmd              command
	random           *rand.Rand
	own              []int
	there            map[int]bool
	writes, failures *atomic.Int64
}

func (w *churner) fill(ctx context.Context) {
	for _, index := range w.own {
		for ctx.Err() == nil && !w.there[index] {
			w.done(ctx, w.create(ctx, index))
		}
	}
}

func (w *churner) run(ctx context.Context, pause time.Duration) {
	if len(w.own) == 0 {
		return
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(float64(pause) * (0.2 + 1.6*w.random.Float64()))):
		}
		index := w.own[w.random.IntN(len(w.own))]
		switch dice := w.random.IntN(100); {
		case !w.there[index]:
			w.done(ctx, w.create(ctx, index))
		case dice < 20:
			w.done(ctx, w.delete(ctx, index))
			if w.random.IntN(3) == 0 && !w.there[index] { // another object of that name, at once
				w.done(ctx, w.create(ctx, index))
			}
		case dice < 45:
			w.done(ctx, w.patch(ctx, index, fmt.Sprintf(`{"metadata":{"labels":{"flip":%q}}}`, w.side())))
		default:
			w.done(ctx, w.patch(ctx, index, fmt.Sprintf(`{"metadata":{"annotations":{"turn":"%d"}}}`, w.random.Uint64())))
		}
	}
}

func (w *churner) done(ctx context.Context, err error) {
	if err == nil {
		w.writes.Add(1)
		return
	}
	if ctx.Err() == nil {
		w.failures.Add(1)
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *churner) side() string {
	if w.random.IntN(2) == 0 {
		return "on"
	}
	return "off"
}

func (w *churner) create(ctx context.Context, index int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	metadata := map[string]any{"name": itemName(index), "labels": map[string]any{"flip": w.side(), "kind": w.cmd.Resource}}
	content := map[string]any{"metadata": metadata}
	switch w.cmd.Resource {
	case "configmaps":
		content["apiVersion"], content["kind"] = "v1", "ConfigMap"
		content["data"] = map[string]any{"payload": fmt.Sprintf("%x", w.random.Uint64())}
	case "pods":
		content["apiVersion"], content["kind"] = "v1", "Pod"
		content["spec"] = map[string]any{
			"nodeName": w.cmd.Holder, "terminationGracePeriodSeconds": int64(0),
			"containers": []any{map[string]any{"name": "main", "image": "none"}},
		}
	default:
		content["apiVersion"], content["kind"] = w.cmd.Group+"/v1", w.cmd.Kind
		content["spec"] = map[string]any{"turn": int64(w.random.Uint32())}
	}
	_, err := w.client.dynamicResource(w.cmd).Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{})
	if err == nil || apierrors.IsAlreadyExists(err) {
		w.there[index] = true
		return nil
	}
	return err
}

func (w *churner) delete(ctx context.Context, index int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	now := int64(0)
	err := w.client.dynamicResource(w.cmd).Delete(ctx, itemName(index), metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err == nil || apierrors.IsNotFound(err) {
		w.there[index] = false
		return nil
	}
	return err
}

func (w *churner) patch(ctx context.Context, index int, patch string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := w.client.dynamicResource(w.cmd).Patch(ctx, itemName(index), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		w.there[index] = false
		return nil
	}
	return err
}

func itemName(index int) string { return fmt.Sprintf("item-%05d", index) }
