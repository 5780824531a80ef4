package power

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"
)

// system is a Redfish ComputerSystem, as read at one moment.
type system struct {
	*schemas.ComputerSystem
}

// findSystem returns the system with this Id, or the only one.
func findSystem(api *gofish.APIClient, id string) (*system, error) {
	all, err := api.Service.Systems()
	var ids []string
	for _, s := range all {
		if s.ID == id || id == "" && err == nil && len(all) == 1 {
			return &system{s}, nil
		}
		ids = append(ids, s.ID)
	}
	slices.Sort(ids) // gofish asks for them in no order
	switch {
	case err != nil:
		return nil, err
	case len(ids) == 0:
		return nil, &explained{"the service has no computer system", "check that the url is a BMC's"}
	case id == "":
		return nil, &explained{
			fmt.Sprintf("the service has %d computer systems: %s", len(ids), strings.Join(ids, ", ")),
			"say which one with systemID",
		}
	default:
		return nil, &explained{
			fmt.Sprintf("no computer system %q", id),
			"the service has " + strings.Join(ids, ", "),
		}
	}
}

func (s *system) state() State { return State(s.PowerState) }

// reset posts the action. It does not use ComputerSystem.Reset of gofish
// v0.21.0, which posts to the target of RemoveResourceBlock.
func (s *system) reset(action Action) error {
	offered, err := s.GetSupportedResetTypes()
	if err != nil {
		return err
	}
	if len(offered) > 0 && !slices.Contains(offered, schemas.ResetType(action)) {
		return &explained{
			fmt.Sprintf("computer system %s does not offer it", s.ID),
			fmt.Sprintf("it offers %v", offered),
		}
	}
	target, err := s.resetTarget()
	if err != nil {
		return err
	}
	//nolint:bodyclose // DeferredCleanupHTTPResponse reads it to the end and closes it
	resp, err := s.GetClient().Post(target, map[string]string{"ResetType": string(action)})
	schemas.DeferredCleanupHTTPResponse(resp)
	return err
}

// resetTarget is the path that takes the reset action.
func (s *system) resetTarget() (string, error) {
	var body struct {
		Actions struct {
			Reset struct {
				Target string `json:"target"`
			} `json:"#ComputerSystem.Reset"`
		} `json:"Actions"`
	}
	if err := json.Unmarshal(s.RawData, &body); err != nil {
		return "", err
	}
	target := body.Actions.Reset.Target
	if !strings.HasPrefix(target, "/") {
		return "", fmt.Errorf("computer system %s offers no reset action", s.ID)
	}
	return target, nil
}
