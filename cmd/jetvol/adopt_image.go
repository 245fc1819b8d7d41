package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// adoptImage asks what taking the image in would do, and does it unless it is only asked. It
// returns an outcomeError if the worker refuses it.
func (a *app) adoptImage(ctx context.Context, client *commands.Client, f *adoptFlags, request commands.Request) error {
	request.Actor = cmp.Or(f.actor, defaultActor())
	reply, plan, err := adoptOne(ctx, client, request, f.dryRun)
	if reply.Outcome == "" {
		return err
	}
	if err != nil {
		err = &outcomeError{reply}
	}
	if f.asJSON {
		return errors.Join(printJSON(a.stdout, reply), err)
	}
	if plan == nil {
		plan = &volume.Plan{Backend: f.backend, Image: request.Args.Image}
	}
	return errors.Join(a.showAdopted(request.Key, *plan, reply), err)
}

// showAdopted prints what became of an image, or would.
func (a *app) showAdopted(key volume.Key, plan volume.Plan, reply commands.Reply) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VOLUME\tBACKEND\tIMAGE\tSIZE\tOUTCOME\tSTATE\tGENERATION")
	fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", key, orDash(plan.Backend), plan.Image, sizeOrDash(plan.Size),
		outcomeText(reply), orDash(string(reply.State)), reply.Generation)
	if err := table.Flush(); err != nil {
		return err
	}
	if reply.Outcome == volume.Valid {
		showIntake(a.stdout, plan)
	}
	return nil
}

// showIntake tells in words what would be done to an image.
func showIntake(w io.Writer, plan volume.Plan) {
	fmt.Fprintf(w, "backend %s would rename image %s of %s to %s and mark it; its data stays\n", plan.Backend, plan.Image, plan.Size, plan.Becomes)
}

func sizeOrDash(size volume.Bytes) string {
	if size == 0 {
		return "-"
	}
	return size.String()
}
