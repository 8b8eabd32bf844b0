//! What the account may do: its plan, as `/vpn/v2` tells (ProtonVPN/python-proton-vpn-api-core
//! `dataclasses/settings.py`). The OpenVPN name and password in that reply are never kept.

use crate::time::UnixTime;
use crate::wire::json::{Value, quote};

/// `MaxTier` of paid plans.
pub const PAID_TIER: u8 = 2;
/// `Delinquent` above this is locked for unpaid bills.
const DELINQUENT_MOST: u64 = 2;

/// A plan and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub plan: String,
    /// 0 free, 2 paid, 3 staff.
    pub max_tier: u8,
    /// Tunnels at once; 0 where unknown.
    pub max_connect: u64,
    pub is_locked: bool,
    pub read_at: UnixTime,
}

impl Account {
    pub fn parse(reply: &Value, wall: UnixTime) -> Option<Account> {
        let vpn = reply.at("VPN");
        let tier = vpn.at("MaxTier").number()?;
        let title = [vpn.at("PlanTitle"), vpn.at("PlanName")].into_iter().find_map(Value::text);
        Some(Account {
            plan: title.unwrap_or(if tier == 0 { "free" } else { "paid" }).to_owned(),
            max_tier: u8::try_from(tier).unwrap_or(u8::MAX),
            max_connect: vpn.at("MaxConnect").number().unwrap_or(0),
            is_locked: reply.at("Delinquent").number().unwrap_or(0) > DELINQUENT_MOST,
            read_at: wall,
        })
    }

    /// Whether servers forward ports and allow P2P for this plan.
    pub fn may_forward(&self) -> bool {
        self.max_tier >= PAID_TIER && !self.is_locked
    }

    /// What the plan can not do, for a person, before connecting.
    pub fn limits(&self) -> Option<String> {
        if self.is_locked {
            return Some("the account is locked for unpaid bills: see account.proton.me".to_owned());
        }
        let limited = self.max_tier < PAID_TIER;
        limited.then(|| format!("the plan ({}) has no P2P servers and forwards no port", self.plan))
    }

    pub(super) fn emit(&self) -> String {
        let mut out = String::from("{\"version\":1,\"plan\":");
        quote(&mut out, &self.plan);
        out.push_str(&format!(
            ",\"max_tier\":{},\"max_connect\":{},\"locked\":{},\"read_at\":{}}}\n",
            self.max_tier, self.max_connect, self.is_locked, self.read_at.0
        ));
        out
    }

    pub(super) fn read(file: &Value) -> Option<Account> {
        Some(Account {
            plan: file.at("plan").text()?.to_owned(),
            max_tier: u8::try_from(file.at("max_tier").number()?).ok()?,
            max_connect: file.at("max_connect").number()?,
            is_locked: file.at("locked").truth()?,
            read_at: UnixTime(file.at("read_at").number()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(vpn: &str, delinquent: u32) -> Option<Account> {
        let reply = format!("{{\"Code\":1000,\"VPN\":{vpn},\"Delinquent\":{delinquent},\"Warnings\":[]}}");
        Account::parse(&Value::parse(reply.as_bytes()).unwrap(), UnixTime(9))
    }

    #[test]
    fn a_paid_plan_forwards_and_a_free_one_says_that_it_does_not() {
        let paid =
            account(r#"{"PlanTitle":"VPN Plus","MaxTier":2,"MaxConnect":10,"Password":"x"}"#, 0).unwrap();
        assert!(paid.may_forward());
        assert_eq!(paid.limits(), None);
        let free = account(r#"{"PlanTitle":null,"PlanName":"free","MaxTier":0}"#, 0).unwrap();
        assert!(!free.may_forward());
        assert_eq!(free.limits().unwrap(), "the plan (free) has no P2P servers and forwards no port");
        assert!(!account(r#"{"MaxTier":2}"#, 3).unwrap().may_forward());
        assert_eq!(account(r#"{"MaxTier":null}"#, 0), None);
    }

    #[test]
    fn an_account_reads_back_from_its_file() {
        let one =
            account(r#"{"PlanTitle":"VPN \"Plus\"","MaxTier":2,"MaxConnect":10,"Password":"hidden"}"#, 0)
                .unwrap();
        let file = one.emit();
        assert!(!file.contains("hidden"));
        assert_eq!(Account::read(&Value::parse(file.as_bytes()).unwrap()), Some(one));
    }
}
