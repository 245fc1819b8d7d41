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

// adoptImage asks what taking the image in would do, and does it unless it is only asked.
func (a *app) adoptImage(ctx context.Context, client *commands.Client, f *adoptFlags, request commands.Request) error {
	request.Actor = cmp.Or(f.actor, defaultActor())
	ask := request
	ask.ValidateOnly = true
	reply, err := client.Do(ctx, ask)
	plan := volume.Plan{Backend: f.backend, Image: request.Args.Image}
	if reply.Plan != nil {
		plan = *reply.Plan
	}
	if err == nil && !f.dryRun {
		reply, err = client.Do(ctx, request)
	}
	switch {
	case reply.Outcome == "":
		return err
	case f.asJSON:
		return errors.Join(printJSON(a.stdout, reply), err)
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VOLUME\tBACKEND\tIMAGE\tSIZE\tOUTCOME\tSTATE\tGENERATION")
	fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", request.Key, orDash(plan.Backend), plan.Image, sizeOrDash(plan.Size),
		outcomeText(reply), orDash(string(reply.State)), reply.Generation)
	if flushErr := table.Flush(); flushErr != nil {
		return flushErr
	}
	if reply.Outcome == volume.Valid {
		showIntake(a.stdout, plan)
	}
	return err
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
