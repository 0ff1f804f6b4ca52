package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// setText sets v from its textual form, which is the same in the file, the
// environment and a flag. The error says what is wanted instead.
func setText(s setting, v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.Pointer:
		target := reflect.New(v.Type().Elem())
		if err := setText(s, target.Elem(), text); err != nil {
			return err
		}
		v.Set(target)
		return nil
	case reflect.Slice:
		return setList(s, v, splitList(text))
	case reflect.Map:
		return setPairs(s, v, splitList(text))
	}
	return setScalar(s, v, text)
}

func setScalar(s setting, v reflect.Value, text string) error {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Type() == durationType:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration; want one such as 500ms, 30s or 2h", text)
		}
		v.SetInt(int64(d))
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	case v.CanInt():
		return setInt(s, v, text)
	case v.CanUint():
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number from 0", text)
		}
		v.SetUint(n)
	case v.CanFloat():
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(x)
	default:
		return fmt.Errorf("cannot be set from text")
	}
	return nil
}

func setInt(s setting, v reflect.Value, text string) error {
	n, err := strconv.ParseInt(text, 10, v.Type().Bits())
	if err != nil && strings.HasSuffix(s.key, "_bytes") {
		return setBytes(v, text)
	}
	if err != nil {
		return fmt.Errorf("%q is not a whole number", text)
	}
	v.SetInt(n)
	return nil
}

// byteUnits may follow a number of bytes.
var byteUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

func setBytes(v reflect.Value, text string) error {
	wrong := fmt.Errorf("%q is not a size; want bytes, or a number with KiB, MiB, GiB, kB, MB or GB", text)
	for _, unit := range byteUnits {
		number, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || x < 0 || x*unit.bytes >= math.MaxInt64 || v.OverflowInt(int64(x*unit.bytes)) {
			return wrong
		}
		v.SetInt(int64(x * unit.bytes))
		return nil
	}
	return wrong
}

func setList(s setting, v reflect.Value, items []string) error {
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := setText(s, list.Index(i), item); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func setPairs(s setting, v reflect.Value, pairs []string) error {
	out := reflect.MakeMapWithSize(v.Type(), len(pairs))
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("%q is not of the form name=value", pair)
		}
		value := reflect.New(v.Type().Elem()).Elem()
		if err := setText(s, value, text); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), value)
	}
	v.Set(out)
	return nil
}

// splitList splits a comma separated list; white space around items and empty
// items do not count.
func splitList(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
