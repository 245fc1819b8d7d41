package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

const snapshotTreeLong = `Draws which clones and snapshots share content with which snapshot. What stands below an
entry needs it. With a volume it draws what the volume stands on, its snapshots, and what
was made of these.

The snapshots of a clone stand beside it, below what it was made of: that is what they share.`

// treeDepth is how deep a tree is drawn if nobody says.
const treeDepth = 16

func (a *app) snapshotTreeCommand() *cobra.Command {
	var depth int
	var asJSON bool
	command := &cobra.Command{
		Use:   "tree [VOLUME]",
		Short: "Draw what was made of what",
		Long:  snapshotTreeLong,
		Example: `  jetvol snapshot tree
  jetvol snapshot tree db-01 --depth 2
  jetvol -p billing snapshot tree --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			return a.snapshotTree(c, args, depth, asJSON)
		},
	}
	command.Flags().IntVar(&depth, "depth", treeDepth, "levels to draw; 0 is all")
	command.Flags().BoolVar(&asJSON, "json", false, "print the tree as one line of JSON")
	return command
}

func (a *app) snapshotTree(c *cobra.Command, args []string, depth int, asJSON bool) error {
	if depth < 0 {
		return usagef("depth %d: want 0 or more", depth)
	}
	scope, err := a.scopeOf(args)
	if err != nil {
		return err
	}
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	var entries []snapshots.Info
	err = snapshots.New(js).View(c.Context(), scope.Project, func(tx *snapshots.Tx) error {
		return tx.Walk(c.Context(), func(_ context.Context, info snapshots.Info) error {
			entries = append(entries, info)
			return nil
		})
	})
	if err != nil {
		return err
	}
	tree := growTree(entries)
	if scope.Name != "" {
		tree.keep(scope.Name)
	}
	if depth > 0 {
		tree.cut(depth)
	}
	if asJSON {
		return printJSON(a.stdout, struct {
			Project volume.Project `json:"project"`
			treeNode
		}{scope.Project, tree})
	}
	fmt.Fprintln(a.stdout, scope.Project)
	drawTree(a.stdout, tree, "")
	return nil
}

// treeNode is an entry with what stands on it, or the root of all.
type treeNode struct {
	*snapshots.Info             // nil for the root
	Children        []*treeNode `json:"children,omitempty"`
	// Deeper counts what stands on the entry and is not shown.
	Deeper int `json:"deeper,omitempty"`
}

// growTree puts each entry below its parent, and those whose parent is not among them
// below the root. It keeps the order.
func growTree(entries []snapshots.Info) treeNode {
	var root treeNode
	nodes := make(map[snapshots.Key]*treeNode, len(entries))
	for i := range entries {
		nodes[entries[i].Name] = &treeNode{Info: &entries[i]}
	}
	for i := range entries {
		parent, found := nodes[entries[i].Parent]
		if !found {
			parent = &root
		}
		parent.Children = append(parent.Children, nodes[entries[i].Name])
	}
	return root
}

// keep leaves what stands on the volume's entries and what these stand on, and reports
// whether there is any of it below the node.
func (n *treeNode) keep(of volume.Name) bool {
	if n.Info != nil && n.Name.Volume == of {
		return true
	}
	n.Children = slices.DeleteFunc(n.Children, func(child *treeNode) bool { return !child.keep(of) })
	return len(n.Children) > 0
}

// cut leaves so many levels below the node, and counts the others.
func (n *treeNode) cut(levels int) {
	if levels == 0 {
		n.Deeper = n.below()
		n.Children = nil
	}
	for _, child := range n.Children {
		child.cut(levels - 1)
	}
}

func (n *treeNode) below() int {
	count := len(n.Children)
	for _, child := range n.Children {
		count += child.below()
	}
	return count
}

// drawTree draws what stands below a node, each line behind the prefix.
func drawTree(w io.Writer, n treeNode, prefix string) {
	if n.Deeper > 0 {
		fmt.Fprintf(w, "%s└── … %d more\n", prefix, n.Deeper)
	}
	for i, child := range n.Children {
		branch, below := "├── ", "│   "
		if i == len(n.Children)-1 {
			branch, below = "└── ", "    "
		}
		fmt.Fprintf(w, "%s%s%s%s\n", prefix, branch, child.Name, remarks(*child.Info))
		drawTree(w, *child, prefix+below)
	}
}

// remarks says what is not a plain snapshot.
func remarks(info snapshots.Info) string {
	text := ""
	switch info.Kind {
	case snapshots.Active:
		text = "  clone"
	case snapshots.View:
		text = "  read-only clone"
	case snapshots.Committed:
	}
	if info.RemovedBy != "" {
		text += "  being removed"
	}
	return text
}
