package backends_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// copying is a driver whose Flatten tells of progress as often as it is told to, and whose
// last step hangs until its context ends.
type copying struct {
	*null.Driver
	steps int
	pause time.Duration
	hang  bool
}

func (d *copying) Flatten(ctx context.Context, _ backends.Ref) error {
	for i := range d.steps {
		<-time.After(d.pause)
		backends.ReportProgress(ctx, uint64(i+1), uint64(d.steps))
	}
	if d.hang {
		<-ctx.Done()
	}
	return ctx.Err()
}

func TestFlatten_ProgressSlowerThanTheTimeoutInAll_Succeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := &copying{Driver: null.New(null.Options{}), steps: 10, pause: 900 * time.Millisecond}
		b := backends.New("null", driver, backends.Options{Timeout: time.Second})
		var told []volume.Progress
		ctx := backends.WithProgress(t.Context(), func(p volume.Progress) { told = append(told, p) })
		wantClass(t, b.Flatten(ctx, refOf("db-01")), "")
		if want := (volume.Progress{Done: 10, Total: 10}); len(told) != 10 || told[9] != want {
			t.Errorf("progress: got %v, want 10 that end with %v", told, want)
		}
	})
}

func TestFlatten_NoProgressForTheTimeout_Unavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := &copying{Driver: null.New(null.Options{}), steps: 3, pause: 900 * time.Millisecond, hang: true}
		b := backends.New("null", driver, backends.Options{Timeout: time.Second})
		began := time.Now()
		wantClass(t, b.Flatten(t.Context(), refOf("db-01")), volume.Unavailable)
		if took, want := time.Since(began), 3*900*time.Millisecond+time.Second; took != want {
			t.Errorf("given up after %s, want %s", took, want)
		}
		synctest.Wait()
	})
}

func TestFlatten_ProgressSlowerThanTheTimeout_Unavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := &copying{Driver: null.New(null.Options{}), steps: 2, pause: 1100 * time.Millisecond}
		b := backends.New("null", driver, backends.Options{Timeout: time.Second})
		wantClass(t, b.Flatten(t.Context(), refOf("db-01")), volume.Unavailable)
		<-time.After(time.Minute) // the driver reports to a call that is over
	})
}

// While volumes are copied, others are attached.
func TestBackend_AllLongCallsRun_OthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := &copying{Driver: null.New(null.Options{}), steps: 40, pause: 900 * time.Millisecond}
		b := backends.New("null", driver, backends.Options{Timeout: time.Second, Concurrency: 4})
		wantClass(t, b.Create(t.Context(), refOf("db-09"), volume.MiB), "")
		first := make(chan error, 2)
		for _, name := range []volume.Name{"db-01", "db-02"} {
			go func() { first <- b.Flatten(t.Context(), refOf(name)) }()
		}
		synctest.Wait()
		wantClass(t, b.Flatten(t.Context(), refOf("db-03")), volume.Busy) // nothing was begun
		_, err := b.Attach(t.Context(), refOf("db-09"), "n1", volume.ReadWrite)
		wantClass(t, err, "")
		wantClass(t, <-first, "")
		wantClass(t, <-first, "")
		wantClass(t, b.Flatten(t.Context(), refOf("db-03")), "")
	})
}
