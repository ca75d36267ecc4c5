package main

import "github.com/spf13/pflag"

// namedValue is a flag's value under the name that help and manual show for it.
type namedValue struct {
	pflag.Value
	name string
}

// Type implements pflag.Value: the word that help shows for the value.
func (v namedValue) Type() string { return v.name }

// nameValues says what help calls the values of some flags, which else would be "string" and the like.
func nameValues(flags *pflag.FlagSet, name string, of ...string) {
	for _, flag := range of {
		f := flags.Lookup(flag)
		f.Value = namedValue{f.Value, name}
		if f.DefValue == "[]" {
			f.DefValue = "" // an empty list is not worth telling
		}
	}
}
