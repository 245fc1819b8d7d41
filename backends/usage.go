package backends

import (
	"context"

	"github.com/jetvol/jetvol/volume"
)

// Usage is what a volume takes of its backend.
type Usage struct {
	Provisioned volume.Bytes // its size
	// Used is the space that is in use by the volume and its snapshots, without what it
	// shares with another volume's snapshot and before any replication. It counts in the
	// backend's own units, so it may be more than what was written.
	Used volume.Bytes
}

// UsageReporter is a driver that can tell the space that a volume takes.
type UsageReporter interface {
	// Usage returns what the volume takes. A volume of another ID is refused.
	Usage(ctx context.Context, ref Ref) (Usage, error)
}

// Usage returns what the volume takes of the backend; see [UsageReporter]. It returns
// Unsupported if the driver is none, and InvalidArgument for an invalid ref.
func (b *Backend) Usage(ctx context.Context, ref Ref) (Usage, error) {
	reporter, able := b.driver.(UsageReporter)
	c := call{method: "usage", key: ref.Key, invalid: ref.Validate()}.needs(able, "driver cannot tell usage")
	return perform(ctx, b, c, func(ctx context.Context) (Usage, error) {
		return reporter.Usage(ctx, ref)
	})
}
