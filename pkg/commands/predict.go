package commands

import (
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/vip"
)

// predict says how long the VIP should be gone in a drill of the mode.
func (r *failoverRun) predict(mode string, owner vip.Leadership) report.Prediction {
	var p vip.Prediction
	switch mode {
	case modeHard:
		p = vip.PredictCrash(r.lease(), owner)
	case modeForce:
		p = vip.PredictForce(r.lease())
	default:
		p = vip.PredictHandover(r.lease())
	}
	return report.Prediction{LowerSeconds: p.Lower.Seconds(), UpperSeconds: p.Upper.Seconds(), Basis: p.Basis}
}

// leadership says whether the owner leads etcd; leader is "" where no leader
// is known.
func leadership(owner, leader string) vip.Leadership {
	switch leader {
	case "":
		return vip.LeadershipUnknown
	case owner:
		return vip.OwnerLeads
	default:
		return vip.OwnerFollows
	}
}
