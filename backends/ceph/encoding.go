//go:build ceph

package ceph

import (
	"encoding/binary"
	"math"
)

// Ceph's own encoding of the arguments of OSD classes (src/include/encoding.h): numbers
// are little endian, a text follows its length in four bytes, and a structure begins with
// its version, the oldest version that can be read, and its length, so that a reader
// leaves out what later versions added.

// encoder builds one structure of version 1.
type encoder struct{ body []byte }

func (e *encoder) byte(b byte)     { e.body = append(e.body, b) }
func (e *encoder) uint32(n uint32) { e.body = binary.LittleEndian.AppendUint32(e.body, n) }
func (e *encoder) uint64(n uint64) { e.body = binary.LittleEndian.AppendUint64(e.body, n) }

func (e *encoder) text(s string) {
	e.uint32(length(len(s)))
	e.body = append(e.body, s...)
}

// structure returns what was built, with its beginning.
func (e *encoder) structure() []byte {
	data := append([]byte{1, 1}, binary.LittleEndian.AppendUint32(nil, length(len(e.body)))...)
	return append(data, e.body...)
}

// length is that of a text. Ours have some hundred bytes.
func length(n int) uint32 { return uint32(min(n, math.MaxUint32)) } //nolint:gosec // it is bounded

// decoder reads from data. What is missing reads as zero and sets failed.
type decoder struct {
	data   []byte
	failed bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.data) {
		d.failed, d.data = true, nil
		return nil
	}
	taken := d.data[:n]
	d.data = d.data[n:]
	return taken
}

func (d *decoder) byte() byte {
	if taken := d.take(1); taken != nil {
		return taken[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if taken := d.take(4); taken != nil {
		return binary.LittleEndian.Uint32(taken)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if taken := d.take(8); taken != nil {
		return binary.LittleEndian.Uint64(taken)
	}
	return 0
}

func (d *decoder) text() string { return string(d.take(int(d.uint32()))) }

// structure reads the beginning of a structure and returns a decoder for its fields; d
// goes on behind it. A structure that needs a reader of a later version than 1 fails.
func (d *decoder) structure() *decoder {
	_, oldest := d.byte(), d.byte()
	fields := &decoder{data: d.take(int(d.uint32()))}
	fields.failed = d.failed || oldest > 1
	return fields
}
