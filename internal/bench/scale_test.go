package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/preload"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

func TestScaleOptions_WhatCannotBeMeasured_Refused(t *testing.T) {
	for name, o := range map[string]ScaleOptions{
		"more active than there are": {Volumes: 10, Active: 11},
		"none":                       {Few: -1},
		"no rounds":                  {Rounds: -1},
		"fewer than are in flight":   {Volumes: 10},
	} {
		if err := o.Validate(); !errors.Is(err, volume.ErrInvalidArgument) {
			t.Errorf("%s: got %v, want an invalid argument", name, err)
		}
	}
	if err := (ScaleOptions{Volumes: 100}).Validate(); err != nil {
		t.Errorf("fewer volumes than are active by default: got %v", err)
	}
}

// Both servers have all the volumes that are visited, and these lie among all that are there.
func TestScaleOptions_VisitedVolumes_AreOnBothServersAndSpread(t *testing.T) {
	for name, c := range map[string]struct {
		options   ScaleOptions
		few, last int // the last key is no further from the end than from the one before
	}{
		"defaults":            {ScaleOptions{}, scaleMany, DefaultMost - DefaultMost/scaleMany},
		"fewer than visited":  {ScaleOptions{Few: 100}, scaleMany, DefaultMost - DefaultMost/scaleMany},
		"more than visited":   {ScaleOptions{Few: 7000}, 7000, DefaultMost - DefaultMost/scaleMany},
		"only few altogether": {ScaleOptions{Few: 100, Volumes: 200}, 200, 199},
	} {
		o := c.options.withDefaults()
		if o.Few != c.few {
			t.Errorf("%s: got %d volumes on the server with few, want %d", name, o.Few, c.few)
		}
		for _, volumes := range []int{o.Few, o.Volumes} {
			keys := (&arena{volumes: volumes}).spread(o.visited(Many))
			slices.SortFunc(keys, func(a, b volume.Key) int { return strings.Compare(a.String(), b.String()) })
			if got := len(slices.Compact(keys)); got != o.visited(Many) {
				t.Errorf("%s: got %d different keys of %d volumes, want %d", name, got, volumes, o.visited(Many))
			}
			if last := keys[len(keys)-1]; last.String() >= preload.Key(volumes).String() || volumes == o.Volumes && last.String() < preload.Key(c.last-volumes/100).String() {
				t.Errorf("%s: got %s as the last of %d volumes, want about %d", name, last, volumes, c.last)
			}
		}
	}
}

// The counts decide the exit code, so what is missing or too much has to be found.
func TestArena_StoredIsNotWhatIsDue_IsTold(t *testing.T) {
	const volumes, active = 40, 10
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	js := natstest.Start(t).JetStream(t)
	_, err := provision.Apply(ctx, js, provision.Options{})
	must(t, err)
	must(t, preload.Fill(ctx, js, volumes, nil))
	must(t, (&arena{volumes: volumes}).count(ctx, js))
	for name, a := range map[string]arena{
		"commands that nobody gave":  {volumes: volumes, given: active},
		"a volume that is not there": {volumes: volumes + 1},
		"a volume too many":          {volumes: volumes - 1},
	} {
		soon, stop := context.WithTimeout(ctx, 3*settlePause)
		if a.count(soon, js) == nil {
			t.Errorf("%s: not noticed", name)
		}
		stop()
	}
}

func TestFootprint_LanesOrGoroutinesLeft_NotRested(t *testing.T) {
	idle := Footprint{Goroutines: 100}
	for name, left := range map[string]Footprint{
		"a lane":              {Goroutines: 100, Lanes: 1},
		"too many goroutines": {Goroutines: 101 + worker.DefaultConcurrency},
	} {
		if left.rested(idle) {
			t.Errorf("%s: rested", name)
		}
	}
	if !(Footprint{Goroutines: 100 + worker.DefaultConcurrency}).rested(idle) {
		t.Error("no more goroutines than for all commands at once: not rested")
	}
}

func TestReadGauges_MissingOne_IsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# TYPE go_goroutines gauge\ngo_goroutines 7\n# TYPE jetvol_lanes gauge\njetvol_lanes 3\n")
	}))
	defer server.Close()
	got, err := readGauges(t.Context(), server.URL, lanesMetric, goroutinesMetric)
	if err != nil || !slices.Equal(got, []float64{3, 7}) {
		t.Errorf("got %v, %v, want 3 and 7", got, err)
	}
	if _, err := readGauges(t.Context(), server.URL, lanesMetric, "jetvol_other"); err == nil {
		t.Error("a gauge that is not there: got no error")
	}
}
