package backends_test

import (
	"context"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// optionalCalls are the calls that only an able driver gets, with arguments to be chosen.
var optionalCalls = map[string]func(ctx context.Context, b *backends.Backend, ref backends.Ref, name volume.SnapshotName) error{
	"create_snapshot": func(ctx context.Context, b *backends.Backend, ref backends.Ref, name volume.SnapshotName) error {
		_, err := b.CreateSnapshot(ctx, ref, name)
		return err
	},
	"delete_snapshot": func(ctx context.Context, b *backends.Backend, ref backends.Ref, name volume.SnapshotName) error {
		return b.DeleteSnapshot(ctx, ref, name)
	},
	"restore": func(ctx context.Context, b *backends.Backend, ref backends.Ref, name volume.SnapshotName) error {
		return b.Restore(ctx, ref, name)
	},
	"clone": func(ctx context.Context, b *backends.Backend, ref backends.Ref, name volume.SnapshotName) error {
		return b.Clone(ctx, ref, name, refOf("copy"), volume.MiB)
	},
	"children": func(ctx context.Context, b *backends.Backend, ref backends.Ref, name volume.SnapshotName) error {
		_, err := b.Children(ctx, ref, name)
		return err
	},
	"list_snapshots": func(ctx context.Context, b *backends.Backend, ref backends.Ref, _ volume.SnapshotName) error {
		_, err := b.ListSnapshots(ctx, ref)
		return err
	},
	"flatten": func(ctx context.Context, b *backends.Backend, ref backends.Ref, _ volume.SnapshotName) error {
		return b.Flatten(ctx, ref)
	},
	"usage": func(ctx context.Context, b *backends.Backend, ref backends.Ref, _ volume.SnapshotName) error {
		_, err := b.Usage(ctx, ref)
		return err
	},
}

func TestOptionalCalls_DriverNotAble_AreUnsupported(t *testing.T) {
	driver := &fakeDriver{call: func(context.Context, volume.Key) error {
		t.Error("driver: got a call, want none")
		return nil
	}}
	b := backends.New("plain", driver, backends.Options{})
	if got := b.Capabilities(); got != (backends.Capabilities{}) {
		t.Errorf("capabilities: got %+v, want none", got)
	}
	for name, call := range optionalCalls {
		t.Run(name, func(t *testing.T) {
			wantClass(t, call(t.Context(), b, refOf("db-01"), "monday"), volume.Unsupported)
		})
	}
}

func TestOptionalCalls_InvalidArguments_NeverReachTheDriver(t *testing.T) {
	b := backends.New("memory", null.New(null.Options{}), backends.Options{})
	withoutSnapshot := map[string]bool{"list_snapshots": true, "flatten": true, "usage": true}
	for name, call := range optionalCalls {
		t.Run(name, func(t *testing.T) {
			wantClass(t, call(t.Context(), b, backends.Ref{}, "monday"), volume.InvalidArgument)
			for _, snapshot := range []volume.SnapshotName{"", "a/b", "a@b", "a\n", "Monday", "-", ".."} {
				if !withoutSnapshot[name] {
					wantClass(t, call(t.Context(), b, refOf("db-01"), snapshot), volume.InvalidArgument)
				}
			}
		})
	}
}

func TestOptionalCalls_DriverFails_NameTheCall(t *testing.T) {
	b := backends.New("memory", null.New(null.Options{}), backends.Options{})
	for name, subject := range map[string]string{
		"create_snapshot": "default.db-01@monday", "restore": "default.db-01@monday", "children": "default.db-01@monday",
		"list_snapshots": "default.db-01", "flatten": "default.db-01", "usage": "default.db-01", "clone": "default.copy",
	} {
		err := optionalCalls[name](t.Context(), b, refOf("db-01"), "monday")
		wantClass(t, err, volume.NotFound)
		want := name + " volume " + subject + ": backend memory: no volume here: not_found"
		if err == nil || err.Error() != want {
			t.Errorf("text: got %v, want %q", err, want)
		}
	}
}

func TestClone_BadTarget_IsRefused(t *testing.T) {
	b := backends.New("memory", null.New(null.Options{}), backends.Options{})
	source := refOf("db-01")
	for name, target := range map[string]backends.Ref{
		"itself":     source,
		"next life":  {Key: source.Key, ID: volume.NewID(source.Key, 2)},
		"no volume":  {},
		"foreign id": {Key: keyOf("copy"), ID: source.ID},
	} {
		t.Run(name, func(t *testing.T) {
			wantClass(t, b.Clone(t.Context(), source, "monday", target, volume.MiB), volume.InvalidArgument)
		})
	}
	wantClass(t, b.Clone(t.Context(), source, "monday", refOf("copy"), 0), volume.InvalidArgument)
}
