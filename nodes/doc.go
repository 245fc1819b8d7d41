// Package nodes tells which node holds which volumes, and takes all of them away from a node
// that is gone.
//
// Nodes have no records of their own: what is told of them comes from those of the volumes.
// So nothing keeps a node that is gone from attaching again. Take it out of service first,
// wherever attaches are decided.
//
// A node is gone for each of its volumes on its own, by a command node_gone that is ordered
// with the volume's attaches and detaches; see [Client.Gone].
package nodes
