# limit: 120
# boot: openrc
#
# As inits.sh, with OpenRC. Runs when it is named: two OpenRC boots take two to three minutes in emulation.
. /lab/scenarios/inits.sh
