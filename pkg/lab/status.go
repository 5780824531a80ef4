package lab

// PowerState is what a node's power is doing.
type PowerState string

// The power states.
const (
	PowerOn      PowerState = "on"      // its processes run
	PowerBooting PowerState = "booting" // powered, firmware still at work
	PowerOff     PowerState = "off"
)

// Status is a lab at one moment.
type Status struct {
	Name            string       `json:"name"`
	Ready           bool         `json:"ready"` // every node booted and every VIP held once
	VIPs            []VIPStatus  `json:"vips"`
	LeaseTTLSeconds float64      `json:"leaseTTLSeconds"`
	BootTimeSeconds float64      `json:"bootTimeSeconds"`
	TalosTiming     bool         `json:"talosTiming"`
	TalosVersion    string       `json:"talosVersion"`
	Nodes           []NodeStatus `json:"nodes"`
	// Dir is the directory of the lab's files, which only processes in the lab see.
	Dir string `json:"dir"`
}

// VIPStatus says which nodes hold a VIP's address, by their own log.
type VIPStatus struct {
	Address string   `json:"address"`
	Holders []string `json:"holders"`
}

// NodeStatus is a node at one moment.
type NodeStatus struct {
	Name    string     `json:"name"`
	Address string     `json:"address"`
	BMC     string     `json:"bmc"`
	Power   PowerState `json:"power"`
	PID     int        `json:"pid,omitempty"` // of its first process, in the lab
	VIPs    []string   `json:"vips"`
	Faults  []string   `json:"faults"`
}
