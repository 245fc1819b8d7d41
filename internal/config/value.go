package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// value is what a key may hold.
type value struct {
	wants  string // "a duration like 30s"
	set    func(node *yaml.Node) error
	nested func(node *yaml.Node, at string) // instead of set: finds faults by itself
}

// scalar is a value of one word with the given YAML type.
func scalar(wants, tag string, set func(text string) error) value {
	return value{wants: wants, set: func(node *yaml.Node) error {
		if node.Kind == yaml.ScalarNode && node.ShortTag() == tag {
			return set(node.Value)
		}
		return fmt.Errorf("want %s, got %s", wants, kindOf(node))
	}}
}

// word is a scalar that is a text. It says what to do about one that YAML takes for
// something else, such as null.
func word(wants string, set func(text string) error) value {
	v := scalar(wants, "!!str", set)
	return value{wants: wants, set: func(node *yaml.Node) error {
		err := v.set(node)
		if err != nil && node.Kind == yaml.ScalarNode && node.Value != "" && node.ShortTag() != "!!str" {
			err = fmt.Errorf("%w: put a text in quotes", err)
		}
		return err
	}}
}

// kindOf says what a node is, for people.
func kindOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "keys"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch tag := node.ShortTag(); tag {
	case "!!null":
		return "nothing"
	case "!!int", "!!float", "!!bool", "!!timestamp":
		return shorten(node.Value)
	case "!!str":
		return fmt.Sprintf("%q", shorten(node.Value))
	default:
		return "the tag " + shorten(tag)
	}
}

// text is a word that is not empty.
func text(target *string) value {
	return word("a text", func(text string) error {
		*target = text
		return plain(text)
	})
}

// plain refuses what nobody means: nothing, and letters that cannot be seen.
func plain(text string) error {
	if strings.TrimSpace(text) != text || text == "" {
		return errors.New("want a text without blanks around it")
	}
	for _, letter := range text {
		if !strconv.IsPrint(letter) {
			return fmt.Errorf("want a text of printable letters, got %q", shorten(text))
		}
	}
	return nil
}

// path is a file or directory; a relative one is in dir.
func path(target *string, dir string) value {
	return word("a path", func(text string) error {
		if err := plain(text); err != nil {
			return err
		}
		if !filepath.IsAbs(text) {
			text = filepath.Join(dir, text)
		}
		*target = filepath.Clean(text)
		return nil
	})
}

// duration is more than 0.
func duration(target *time.Duration) value {
	const wants = "a duration like 30s"
	return scalar(wants, "!!str", func(text string) error {
		parsed, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("want %s, got %q", wants, shorten(text))
		}
		if parsed <= 0 {
			return fmt.Errorf("want %s, more than 0, got %s", wants, parsed)
		}
		*target = parsed
		return nil
	})
}

// yes is true or false.
func yes(target *bool) value {
	return scalar("true or false", "!!bool", func(text string) error {
		*target = strings.EqualFold(text, "true")
		return nil
	})
}

// oneOf is one of the given words.
func oneOf[T ~string](target *T, all []T) value {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = string(one)
	}
	wants := "one of " + strings.Join(names, ", ")
	return word(wants, func(text string) error {
		if !slices.Contains(names, text) {
			return fmt.Errorf("want %s, got %q", wants, shorten(text))
		}
		*target = T(text)
		return nil
	})
}

// number is a whole one from 1 to most.
func number(target *int, most int) value {
	wants := fmt.Sprintf("a whole number from 1 to %d", most)
	return scalar(wants, "!!int", func(text string) error {
		parsed, err := strconv.Atoi(text)
		if err != nil || parsed < 1 || parsed > most {
			return fmt.Errorf("want %s, got %s", wants, shorten(text))
		}
		*target = parsed
		return nil
	})
}

// list is a list of texts.
func list(target *[]string) value {
	const wants = "a list of texts like [one, two]"
	return value{wants: wants, set: func(node *yaml.Node) error {
		if node.Kind != yaml.SequenceNode {
			return fmt.Errorf("want %s, got %s", wants, kindOf(node))
		}
		var words []string
		for _, element := range node.Content {
			var one string
			if err := text(&one).set(element); err != nil {
				return &misplacedError{element, err}
			}
			words = append(words, one)
		}
		*target = words
		return nil
	}}
}

// misplacedError is a fault of a node within the one that was read.
type misplacedError struct {
	node *yaml.Node
	error
}
