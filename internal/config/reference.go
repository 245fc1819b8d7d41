package config

import "go.yaml.in/yaml/v4"

// Section is a mapping of the file with its keys.
type Section struct {
	Title string // "backends.NAME with driver: local"
	About string
	Keys  []Key
}

// Key is one key of a section, as it is told to people.
type Key struct {
	Name     string
	Wants    string // "a duration like 30s"
	Default  string // empty for none
	Required bool
	About    string
}

// Reference returns every key that a file may have.
func Reference() []Section {
	nothing := func(*yaml.Node, string) {}
	sections := []Section{
		{"The file", "", told(fileKeys(new(string), nothing))},
		{"Every backend", "Keys of `backends.NAME`, whatever the driver.", told(backendKeys(&Backend{}))},
	}
	for _, d := range drivers {
		sections = append(sections, Section{"Driver " + d.name, d.about, told(d.settings().keys(""))})
	}
	return sections
}

func told(keys []key) []Key {
	out := make([]Key, len(keys))
	for i, k := range keys {
		out[i] = Key{k.name, k.value.wants, k.standard, k.required, k.about}
	}
	return out
}
