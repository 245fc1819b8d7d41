package worker

import (
	"context"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// resolveAdopt finds the backend of an adopt, and what it would take in if that is an image.
func (e *execution) resolveAdopt(ctx context.Context) error {
	if err := e.resolveBackend(); err != nil || !e.command.TakesImage() {
		return err
	}
	backend, err := e.worker.backend(e.command.Backend)
	if err != nil {
		return err
	}
	if !backend.Capabilities().Import {
		return cannot(e.command, e.command.Backend, "import")
	}
	found, err := e.importable(ctx, backend)
	if err != nil {
		return err
	}
	e.command.Plan = &volume.Plan{
		Backend: e.command.Backend, Image: e.command.Args.Image, Size: found.Size, Becomes: found.Becomes,
	}
	return nil
}

// importable looks at the image, so that what is refused leaves nothing, and its size is known
// to the quota before anything is changed.
func (e *execution) importable(ctx context.Context, backend *backends.Backend) (backends.Candidate, error) {
	ref := backends.Ref{Key: e.command.Key, ID: volume.NewID(e.command.Key, e.head.record.Generation+1)}
	// gofail: var beforeImportable string
	// killAt(beforeImportable, "observe", e.command.ID)

	found, err := backend.Importable(e.cancellable, ref, e.command.Args.Image)
	// gofail: var afterImportable string
	// killAt(afterImportable, "observe", e.command.ID)

	return found, e.lookError(ctx, err)
}

// lookError tells the end of a look at the backend: its error with the code under which users
// are told, or why the look was broken off.
func (e *execution) lookError(ctx context.Context, err error) error {
	switch {
	case err != nil && cancelCause(e.cancellable) != nil:
		return cancelCause(e.cancellable)
	case err != nil && ctx.Err() != nil:
		return errHandBack
	case err != nil:
		return backendError(err)
	}
	return nil
}

// cross takes a volume over the border of what jetvol looks after, in or out.
func (e *execution) cross(ctx context.Context, backend *backends.Backend, action fsm.Action) error {
	if action == fsm.ActionImport {
		return e.takeIn(ctx, backend)
	}
	return e.release(ctx, backend)
}

// takeIn makes the image the volume. It may have grown since it was looked at: the record
// tells what it has.
func (e *execution) takeIn(ctx context.Context, backend *backends.Backend) error {
	record := e.head.record
	size, err := backend.Import(ctx, refOf(record), record.Op.Image)
	if err == nil {
		e.head.record.Size = size // stored with the success
	}
	return err
}
