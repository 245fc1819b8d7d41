package query_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
)

// stock stores 60 volumes: v-00 to v-39 in default, w-40 to w-59 in billing.
func (w *world) stock() {
	w.t.Helper()
	for i := range 60 {
		r := record(fmt.Sprintf("v-%02d", i))
		if i >= 40 {
			r.Key = volume.Key{Project: "billing", Name: volume.Name(fmt.Sprintf("w-%02d", i))}
			r.ID, r.Backend = volume.NewID(r.Key, 1), "slow"
		}
		if i%2 == 0 {
			r.State = volume.StateAttached
			r.Attachments = volume.Attachments{{Node: "n1", Mode: volume.ReadOnly}, {Node: "n2", Mode: volume.ReadOnly}}
		}
		if i%3 == 0 {
			r.Labels = volume.Labels{"team": "db", "tier": "gold"}
		}
		if i%5 == 0 {
			r.Drift = &volume.Drift{Differences: []volume.Difference{{Kind: volume.DriftSize, Wanted: "1", Actual: "2"}}}
		}
		if i%10 == 9 {
			r.State = volume.StateDeleted
		}
		if i == 7 {
			r.State, r.Op = volume.StateDetaching, &volume.Op{Verb: volume.VerbDetach}
		}
		w.put(r)
	}
}

func TestList_Filters_SelectAndPageWithoutLoss(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.stock()
	for _, c := range []struct {
		name    string
		request query.ListRequest
		want    int
	}{
		{"everything that lives", query.ListRequest{}, 54},
		{"deleted too", query.ListRequest{IncludeDeleted: true}, 60},
		{"deleted only", query.ListRequest{States: []volume.State{volume.StateDeleted}}, 6},
		{"project", query.ListRequest{Project: "billing"}, 18},
		{"no such project", query.ListRequest{Project: "nobody"}, 0},
		{"states", query.ListRequest{States: []volume.State{volume.StateAttached, volume.StateDetaching}}, 31},
		{"node", query.ListRequest{Node: "n2"}, 30},
		{"another node", query.ListRequest{Node: "n3"}, 0},
		{"backend", query.ListRequest{Backend: "slow"}, 18},
		{"labels", query.ListRequest{Labels: volume.Labels{"team": "db", "tier": "gold"}}, 18},
		{"labels that contradict", query.ListRequest{Labels: volume.Labels{"team": "db", "tier": "iron"}}, 0},
		{"drifted", query.ListRequest{Drifted: true}, 12},
		{"prefix", query.ListRequest{NamePrefix: "v-1"}, 9},
		{"filter", query.ListRequest{Filter: []string{`state==attached,labels.team`}}, 10},
		{"filters", query.ListRequest{Filter: []string{`project==billing,drift`, `verb==detach`}}, 5},
		{"filter by node", query.ListRequest{Filter: []string{`node~="(^|,)n2(,|$)"`}}, 30},
		{"filter by what is not there", query.ListRequest{Filter: []string{`backend!=fast`}}, 18},
		{"all together", query.ListRequest{Project: "default", States: []volume.State{volume.StateAttached}, Node: "n1", Drifted: true, NamePrefix: "v-"}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			var whole []string
			for _, limit := range []int{1000, 1, 7} {
				c.request.Limit = limit
				var names []string
				for one, err := range w.client.All(w.ctx, c.request) {
					if err != nil {
						t.Fatal(err)
					}
					names = append(names, one.Key.String())
				}
				if whole == nil {
					whole = names
				}
				if len(names) != c.want || !slices.Equal(names, whole) {
					t.Errorf("pages of %d: got %d: %v, want %d", limit, len(names), names, c.want)
				}
			}
		})
	}
}

func TestList_Page_KeepsToLimitAndBounds(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.stock()
	request := query.ListRequest{Limit: 10}
	for pages := 1; ; pages++ {
		page, err := w.client.List(w.ctx, request)
		if err != nil || len(page.Volumes) > 10 || page.Consistency != query.Replica || page.LookedAt > query.MaxLookedAt {
			t.Fatalf("got %d volumes, %d looked at, %v", len(page.Volumes), page.LookedAt, err)
		}
		if page.Next == 0 {
			if pages != 6 {
				t.Errorf("got %d pages, want 6", pages)
			}
			break
		}
		if len(page.Volumes) != 10 {
			t.Errorf("page %d: got %d volumes and more to come", pages, len(page.Volumes))
		}
		request.After = page.Next
	}
}

// A volume is never missed because others are made and changed while it is paged.
func TestList_ConcurrentChanges_MissNothing(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.stock()
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			k := key(fmt.Sprintf("v-%02d", i*7%40))
			entry, err := w.records.ByKey(w.ctx, k)
			if err == nil {
				_, err = w.records.CompareAndSet(w.ctx, k.String(), entry.Value, entry.Revision)
			}
			if _, made := w.records.Create(w.ctx, fmt.Sprintf("default.new-%d", i), record(fmt.Sprintf("new-%d", i))); err != nil || made != nil {
				t.Error(err, made)
				return
			}
		}
	})
	seen := map[volume.Name]bool{}
	request := query.ListRequest{Project: "default", NamePrefix: "v-", Limit: 5, IncludeDeleted: true}
	for pages := 0; pages < 1000; pages++ { // the writer goes on for ever: no end is promised
		page, err := w.client.List(w.ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range page.Volumes {
			seen[one.Name] = true
		}
		if page.Next == 0 || len(seen) == 40 && pages > 20 {
			break
		}
		request.After = page.Next
	}
	close(stop)
	writer.Wait()
	if len(seen) != 40 {
		t.Errorf("got %d of 40 volumes", len(seen))
	}
}

// Records of 64 KiB do not fit into one reply of 1 MiB by the hundred.
func TestList_LargeRecords_ComeInMorePages(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	const many = 40
	for i := range many {
		r := record(fmt.Sprintf("v-%02d", i))
		r.Attachments = volume.Attachments{{Node: "n", Mode: volume.ReadOnly, Connection: map[string]string{"x": strings.Repeat("x", 64<<10)}}}
		w.put(r)
	}
	found, pages, request := 0, 0, query.ListRequest{Limit: query.MaxLimit}
	for {
		page, err := w.client.List(w.ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		pages, found = pages+1, found+len(page.Volumes)
		if page.Next == 0 {
			break
		}
		request.After = page.Next
	}
	if found != many || pages < 3 {
		t.Errorf("got %d volumes in %d pages, want %d in at least 3", found, pages, many)
	}
}

func TestList_RecordLargerThanAReply_IsNamed(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	large := record("large")
	large.Attachments = volume.Attachments{{Node: "n", Mode: volume.ReadOnly, Connection: map[string]string{"x": strings.Repeat("x", 1_047_000)}}}
	w.put(record("a"))
	w.put(large)
	w.put(record("b"))
	var names []volume.Name
	var last error
	for one, err := range w.client.All(w.ctx, query.ListRequest{}) {
		if err != nil {
			last = err
			continue
		}
		names = append(names, one.Name)
	}
	unreadable, ok := errors.AsType[*query.UnreadableError](last)
	if !slices.Equal(names, []volume.Name{"a", "b"}) || !ok || !strings.Contains(unreadable.Error(), "default.large") {
		t.Errorf("got %v, %v, want a, b and an error that names large", names, last)
	}
	if _, err := w.client.Get(w.ctx, query.GetRequest{Project: "default", Volume: "large"}); err != nil && !errors.Is(err, volume.ErrPayloadTooLarge) {
		t.Errorf("get: got %v", err)
	}
}

func TestList_UnreadableRecord_OthersComeAndItIsNamed(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.put(record("a"))
	for name, data := range map[string]string{"broken": `not a record`, "newer": `{"schema_version":99}`} {
		if _, err := w.js.Publish(w.ctx, "$KV.volumes.default."+name, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	w.put(record("z"))
	page, err := w.client.List(w.ctx, query.ListRequest{})
	if err != nil || len(page.Volumes) != 2 || len(page.Unreadable) != 2 {
		t.Fatalf("got %+v, %v", page, err)
	}
	if text := strings.Join(page.Unreadable, " "); !strings.Contains(text, "default.broken") || !strings.Contains(text, "default.newer") {
		t.Errorf("got %s, want both named", text)
	}
	if _, err := w.client.Get(w.ctx, query.GetRequest{Project: "default", Volume: "broken"}); volume.ClassOf(err) != volume.Internal {
		t.Errorf("get: got %v, want %s", err, volume.Internal)
	}
}

// The local reader and the service answer the same.
func TestLocal_List_IsTheServices(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.stock()
	request := query.ListRequest{Project: "default", States: []volume.State{volume.StateAttached}, Limit: 4}
	one, err := w.client.List(w.ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	other, err := query.NewLocal(w.js, fsm.RetryPolicy{}).List(w.ctx, request)
	if err != nil || fmt.Sprint(one) != fmt.Sprint(other) {
		t.Errorf("got %+v, %v, want %+v", other, err, one)
	}
}
