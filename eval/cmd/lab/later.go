package main

import "context"

func reportCommand(context.Context, []string) error  { return nil }
func e2eCommand(context.Context, []string) error     { return nil }
func trackerCommand(context.Context, []string) error { return nil }
