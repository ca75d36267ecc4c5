package main

import "context"

func trackerCommand(context.Context, []string) error { return nil }
