package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/utils/clock"
)

// renewLease runs client-go's Lease controller, as the kubelet does, until the command is stopped. It
// prints one RENEWED for each renewal that was taken, and FAILED when the controller gives up for a while.
func (c *client) renewLease(ctx context.Context, cmd command) (reply, error) {
	renewed := func(l *coordinationv1.Lease) error {
		print(reply{"id": cmd.ID, "event": "RENEWING", "object": describe(l, true)})
		return nil
	}
	failed := func() { print(reply{"id": cmd.ID, "event": "FAILED"}) }
	controller := lease.NewController(clock.RealClock{}, c.typed, cmd.Holder, int32(cmd.Duration), failed,
		seconds(cmd.Interval), cmd.Name, cmd.Namespace, renewed)
	controller.Run(ctx)
	return reply{"end": "stopped"}, nil
}

// elect takes part in a leader election until the command is stopped: LEADING, STOPPED.
func (c *client) elect(ctx context.Context, cmd command) (reply, error) {
	said := func(event string) { print(reply{"id": cmd.ID, "event": event, "at": time.Now().UnixMilli()}) }
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: cmd.Namespace, Name: cmd.Name},
			Client:     c.typed.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: cmd.Holder},
		},
		LeaseDuration: seconds(cmd.Duration),
		RenewDeadline: seconds(cmd.Duration * 2 / 3),
		RetryPeriod:   seconds(cmd.Interval),
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { said("LEADING") },
			OnStoppedLeading: func() { said("STOPPED") },
		},
		Name: cmd.Name,
	})
	if err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		elector.Run(ctx)
	}
	return reply{"end": "stopped"}, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// codes counts the answers to writes of Leases, as the program itself gets them.
type codes struct {
	mutex sync.Mutex
	count map[int]int
}

func (c *codes) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if request.Method == http.MethodPut && strings.Contains(request.URL.Path, "/leases/") {
			c.mutex.Lock()
			defer c.mutex.Unlock()
			if err != nil {
				c.count[0]++
			} else {
				c.count[response.StatusCode]++
			}
		}
		return response, err
	})
}

func (c *codes) reply() reply {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	counts := map[int]int{}
	for code, n := range c.count {
		counts[code] = n
	}
	return reply{"codes": counts}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
