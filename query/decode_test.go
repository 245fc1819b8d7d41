package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func TestDecode_Examples(t *testing.T) {
	for _, c := range requests {
		t.Run(string(c.endpoint)+" "+c.data, func(t *testing.T) {
			got, err := decoders[c.endpoint]([]byte(c.data))
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.want != nil {
				return
			}
			again, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if string(again) != c.data {
				t.Errorf("got %s, want %s", again, c.data)
			}
		})
	}
}

func TestDecode_Fault_NamesTheField(t *testing.T) {
	for data, want := range map[string]string{
		`{"limitt":1}`:                     `field "limitt": there is project, states`,
		`{"limit":"1"}`:                    `field "limit": "1": want an integer`,
		`{"limit":1,"limit":2}`:            `field "limit": twice`,
		`{"drifted":"yes"}`:                `field "drifted": "yes": want true or false`,
		`{"states":"error"}`:               `field "states": "error": want an array of texts`,
		`{"labels":{"a":1}}`:               `field "labels": {"a":1}: want an object of texts`,
		`{"filter":[null]}`:                `field "filter": null`,
		`{"limit":2000}`:                   `field "limit": 2000: want 1 to 1000`,
		`{"states":["x"]}`:                 `field "states": "x": want some of`,
		`{"filter":["name==a,colour==b"]}`: `column 9`,
		`{"limit":1} {}`:                   `not JSON`,
		"{\"node\":\"\xff\"}":              `not JSON in UTF-8`,
	} {
		if _, err := decode[ListRequest]([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it to say %s", data, err, want)
		}
	}
}

func TestDecode_TooLarge_Refused(t *testing.T) {
	data := fmt.Sprintf(`{"name_prefix":%q}`, strings.Repeat("a", maxRequest))
	if _, err := decode[ListRequest]([]byte(data)); !errors.Is(err, volume.ErrPayloadTooLarge) {
		t.Errorf("got %v, want %v", err, volume.ErrPayloadTooLarge)
	}
}

// FuzzDecode: no request makes a decoder fail otherwise than with a code, what it takes
// can be written and is taken again as the same, and conforms to the schema.
func FuzzDecode(f *testing.F) {
	for _, c := range requests {
		f.Add(string(c.endpoint), c.data)
	}
	f.Add("list", ` `)
	f.Add("list", `{"labels":{"a":"b","a":"c"}}`)
	f.Fuzz(func(t *testing.T, name, data string) {
		read, known := decoders[Endpoint(name)]
		if !known {
			return
		}
		got, err := read([]byte(data))
		if err != nil {
			if class := volume.ClassOf(err); class != volume.InvalidArgument {
				t.Fatalf("%s %q: got class %s of %v, want %s", name, data, class, err, volume.InvalidArgument)
			}
			return
		}
		written, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := read(written)
		if rewritten, _ := json.Marshal(again); err != nil || !bytes.Equal(rewritten, written) {
			t.Fatalf("%s %q: got %s, %v, want %s", name, data, rewritten, err, written)
		}
		schema, _ := RequestSchema(Endpoint(name))
		conform(t, schema, written)
	})
}

func TestErrorReply_KeepsCodeAndClass(t *testing.T) {
	for _, want := range []error{
		volume.Errorf(volume.ErrVolumeNotFound, "get volume a.b"),
		volume.Errorf(volume.ErrUnknownField, "field x"),
		fmt.Errorf("read stream: %w", volume.Unavailable),
		fmt.Errorf("get volumes/a.b: %w", volume.Internal),
		fmt.Errorf("not allowed: %w", volume.FailedPrecondition),
		errors.New("anything"),
	} {
		told := newErrorReply(want)
		got := told.Err()
		if volume.ClassOf(got) != volume.ClassOf(want) || volume.CodeOf(got) != volume.CodeOf(want) {
			t.Errorf("%v: got %v of class %s and code %s", want, got, volume.ClassOf(got), volume.CodeOf(got))
		}
		if got.Error() != want.Error() && got.Error() != want.Error()+": internal" {
			t.Errorf("got %q, want %q", got, want)
		}
		if statuses[told.Class] == "" {
			t.Errorf("class %s has no number", told.Class)
		}
		data, err := json.Marshal(told)
		if err != nil {
			t.Fatal(err)
		}
		conform(t, ErrorSchema(), data)
	}
	for _, class := range volume.Codes() {
		if statuses[class] == "" {
			t.Errorf("class %s has no number", class)
		}
	}
	if long := newErrorReply(errors.New(strings.Repeat("ä", maxMessage))); len(long.Message) > maxMessage+len("…") {
		t.Errorf("message of %d bytes", len(long.Message))
	}
}

func TestSemantic_AnyBuild_IsASemanticVersion(t *testing.T) {
	for build, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3": "1.2.3", "v1.2.3-4-g49298e7-dirty": "0.0.0+v1-2-3-4-g49298e7-dirty",
		"49298e7": "0.0.0+49298e7", "(devel)": "0.0.0+devel", "": "0.0.0+unknown", "v01.2.3": "0.0.0+v01-2-3",
	} {
		if got := semantic(build); got != want {
			t.Errorf("%q: got %s, want %s", build, got, want)
		}
	}
}

func TestFieldNames_EveryRequest_HasThem(t *testing.T) {
	for endpoint, types := range exchanges {
		for _, name := range fieldNames(types.request) {
			if name == "" || name == "-" {
				t.Errorf("%s: a field without a name", reflect.New(types.request).Elem().Type())
			}
		}
		if decoders[endpoint] == nil {
			t.Errorf("%s: no decoder", endpoint)
		}
	}
}
