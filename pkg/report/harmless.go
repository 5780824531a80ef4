package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// harmless makes visible what a terminal would take for a command, or hide: the
// words of nodes, certificates and files are printed, and any of them may lie.
// Line ends and tabs stay.
func harmless(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) && r < 0x80 && r != '\r' {
			return r
		}
		return '\uFFFD'
	}, s)
}

// harmlessJSON writes as escapes what encoding/json leaves as it is.
func harmlessJSON(data []byte) []byte {
	if !bytes.ContainsFunc(data, hidden) {
		return data
	}
	var out bytes.Buffer
	for _, r := range string(data) {
		switch {
		case !hidden(r):
			out.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&out, "\\u%04x\\u%04x", 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&out, "\\u%04x", r)
		}
	}
	return out.Bytes()
}

// hidden says of a character of JSON whether it is best escaped. Those below the
// space are, by encoding/json, but for the line ends between values.
func hidden(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) }

// harmlessYAML writes v as YAML, which can be read whatever is in its texts.
func harmlessYAML(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	data, err = yaml.JSONToYAML([]byte(harmless(string(data))))
	return []byte(harmless(string(data))), err
}
