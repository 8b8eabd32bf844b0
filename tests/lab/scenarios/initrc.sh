# limit: 400
# boot: openrc
# carries: pkg
# before: installed, closed, to be connected at boot
#
# As inits.sh, with OpenRC and install.sh. Runs when it is named: three OpenRC boots take minutes in emulation.
. /lab/scenarios/inits.sh
