package netlab

import "fmt"

// route gives every host connected to start the routes it lacks: a host with one
// wire sends everything there, any other knows the device for each host.
func (l *Lab) route(start *Host) error {
	for _, h := range reached(start) {
		if err := h.ns.ip(h.missingRoutes()); err != nil {
			return err
		}
	}
	return nil
}

// reached returns start and all hosts that wires lead to, nearest first.
func reached(start *Host) []*Host {
	seen := map[*Host]bool{start: true}
	list := []*Host{start}
	for i := 0; i < len(list); i++ {
		for _, p := range list[i].ports {
			if !seen[p.peer] {
				seen[p.peer] = true
				list = append(list, p.peer)
			}
		}
	}
	return list
}

func (h *Host) missingRoutes() []string {
	if len(h.ports) == 1 {
		return h.defaultRoute()
	}
	var lines []string
	for host, device := range h.devices() {
		if h.via[host] == device {
			continue
		}
		h.via[host] = device
		lines = append(lines,
			fmt.Sprintf("route replace %s/32 dev %s src %s", host.addr4, device, h.addr4),
			fmt.Sprintf("route replace %s/128 dev %s src %s", host.addr6, device, h.addr6))
	}
	return lines
}

func (h *Host) defaultRoute() []string {
	device := h.ports[0].device
	if h.gate == device {
		return nil
	}
	h.gate = device
	return []string{
		fmt.Sprintf("route replace default dev %s src %s", device, h.addr4),
		fmt.Sprintf("route replace ::/0 dev %s src %s", device, h.addr6),
	}
}

// devices finds the first device on a shortest way to each host.
func (h *Host) devices() map[*Host]string {
	via := make(map[*Host]string)
	list := []*Host{h}
	for i := 0; i < len(list); i++ {
		for _, p := range list[i].ports {
			if p.peer == h || via[p.peer] != "" {
				continue
			}
			via[p.peer] = via[list[i]]
			if list[i] == h {
				via[p.peer] = p.device
			}
			list = append(list, p.peer)
		}
	}
	return via
}
