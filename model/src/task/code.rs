//! Why a task ended as it did, in one word: Cloud Assistant's codes, and a few of our own for
//! what it does not have. Owns the words and their texts; the receipt's reason says more.

use std::fmt;
use std::str::FromStr;

use super::FinalStatus;
use crate::error::{ParseError, serde_by_text};

/// Most characters of what a sentence is about.
const ABOUT_MAX_CHARS: usize = 255;

macro_rules! codes {
    ($($name:ident $text:literal $status:ident $info:literal;)*) => {
        /// Why a task did not end with Success.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ResultCode {
            $(#[doc = $info] $name,)*
        }

        impl ResultCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as receipts and APIs have it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// One sentence for people.
            pub fn info(self) -> &'static str {
                match self { $(Self::$name => $info,)* }
            }

            /// The sentence with what it is about in it: the path, user, group, container or field. Escaped, and cut at 255
            /// characters, so that it can go to a terminal.
            pub fn sentence(self, about: &str) -> String {
                let shown: String = about.chars().take(ABOUT_MAX_CHARS).flat_map(char::escape_debug).collect();
                let cut = if about.chars().nth(ABOUT_MAX_CHARS).is_some() { "…" } else { "" };
                format!("{}: `{shown}{cut}`.", self.info().trim_end_matches(['.', '?']))
            }

            /// The status that usually goes with it.
            pub fn usual_status(self) -> FinalStatus {
                match self { $(Self::$name => FinalStatus::$status,)* }
            }
        }
    };
}

codes! {
    InstanceNotExists "InstanceNotExists" Aborted "The instance does not exist.";
    InstanceReleased "InstanceReleased" Error "The instance was released while the task ran.";
    InstanceNotRunning "InstanceNotRunning" Aborted "The instance was not running.";
    CommandNotApplicable "CommandNotApplicable" Invalid "The command does not fit the instance.";
    AccountNotExists "AccountNotExists" Invalid "The user does not exist on the instance.";
    DirectoryNotExists "DirectoryNotExists" Invalid "The working directory does not exist on the instance.";
    BadCronExpression "BadCronExpression" Invalid "The schedule is not valid.";
    ClientNotRunning "ClientNotRunning" Aborted "The agent is not running on the instance.";
    ClientNotResponse "ClientNotResponse" Error "The agent does not answer.";
    ClientIsUpgrading "ClientIsUpgrading" Aborted "The agent is being upgraded.";
    ClientNeedUpgrade "ClientNeedUpgrade" Invalid "The agent is too old for this order.";
    ClientNetworkBlocked "ClientNetworkBlocked" Aborted "The network keeps the agent from the server.";
    DeliveryTimeout "DeliveryTimeout" Aborted "The order did not reach the instance in time.";
    ExecutionTimeout "ExecutionTimeout" Timeout "The task ran longer than it may; all of it was ended.";
    ExecutionException "ExecutionException" Error "The task could not be run to its end.";
    ExecutionInterrupted "ExecutionInterrupted" Error "The task was interrupted; what was left of it was ended.";
    ExitCodeNonzero "ExitCodeNonzero" Failed "The exit code is not zero.";
    SecurityGroupRuleDenied "SecurityGroupRuleDenied" Aborted "A firewall keeps the agent from the server.";
    TaskConcurrencyLimit "TaskConcurrencyLimit" Aborted "Too many tasks are waiting on the instance.";
    UsernameOrPasswordInvalid "UsernameOrPasswordInvalid" Invalid "The user's name or password is wrong.";
    InvalidContainerId "InvalidContainerId" Invalid "The container's id is not one.";
    InvalidContainerName "InvalidContainerName" Invalid "The container's name is not one.";
    UnsupportedContainerRuntime "UnsupportedContainerRuntime" Invalid "The instance does not have this container runtime.";
    ContainerNotFound "ContainerNotFound" Invalid "There is no such container on the instance.";
    ContainerNameAndIdNotMatch "ContainerNameAndIdNotMatch" Invalid "The container with this id has another name.";
    ContainerNameDuplicated "ContainerNameDuplicated" Invalid "More than one container has this name.";
    ContainerStateAbnormal "ContainerStateAbnormal" Invalid "The container is not running.";
    ContainerConnectFailed "ContainerConnectFailed" Error "The container runtime cannot be reached.";
    ContainerRuntimeInternalError "ContainerRuntimeInternalError" Error "The container runtime failed.";
    ContainerRuntimeTimeout "ContainerRuntimeTimeout" Error "The container runtime did not answer in time.";
    FileCreateFail "FileCreateFail" Failed "The file could not be put in its place.";
    FileAlreadyExists "FileAlreadyExists" Invalid "There is a file already, and it shall not be replaced.";
    FileContentInvalid "FileContentInvalid" Invalid "The content is not the one that was signed.";
    FileNameInvalid "FileNameInvalid" Invalid "The file's name is not one.";
    FilePathInvalid "FilePathInvalid" Invalid "The path is none at which a file may be put or taken.";
    FileAuthorityInvalid "FileAuthorityInvalid" Invalid "The file's mode cannot be set.";
    UserGroupNotExists "UserGroupNotExists" Invalid "The group does not exist on the instance.";
    FileNotExists "FileNotExists" Failed "There is no such file on the instance.";
    FileTooLarge "FileTooLarge" Failed "The file is larger than the order allows.";
    FileTransferFail "FileTransferFail" Failed "The file's bytes could not be brought over.";
    RolloutHalted "RolloutHalted" Cancelled "Too many tasks failed before this one was started.";
    ResourceLimitUnavailable "ResourceLimitUnavailable" Invalid "The instance cannot limit what a task uses.";
    OrderRefused "OrderRefused" Invalid "The agent refused the order; the check that failed is named.";
    CapabilityDenied "CapabilityDenied" Invalid "The plugin asks for more than is approved or allowed.";
    InvalidParameter "InvalidParameter" Invalid "A parameter is not as the command declares it.";
    JournalUnavailable "JournalUnavailable" Invalid "The agent cannot record tasks: is its disk full?";
    SandboxUnavailable "SandboxUnavailable" Invalid "The instance lacks a part of the sandbox on which its policy insists.";
    PluginFailed "PluginFailed" Failed "The plugin says that it failed.";
    PluginTrapped "PluginTrapped" Error "The plugin broke off: it crashed, or did what it must not.";
    MemoryLimit "MemoryLimit" Error "The task needed more memory than it may have.";
    OutputLimit "OutputLimit" Error "The plugin wrote more than it may.";
}

impl FromStr for ResultCode {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.iter().find(|code| code.as_str() == text);
        known.copied().ok_or_else(|| ParseError::new("result code", text, "this release does not know it"))
    }
}

impl fmt::Display for ResultCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

serde_by_text!(ResultCode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_codes_are_one_to_one() {
        for code in ResultCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert_eq!(format!("{code:?}"), code.as_str());
            assert_ne!(code.usual_status(), FinalStatus::Success);
            assert!(code.info().ends_with(['.', '?']));
        }
        assert_eq!(
            ResultCode::AccountNotExists.sentence("bob\u{1b}[2J"),
            "The user does not exist on the instance: `bob\\u{1b}[2J`."
        );
        let long = ResultCode::DirectoryNotExists.sentence(&"x".repeat(5000));
        assert!(long.ends_with("x…`.") && long.chars().count() < 400);
        assert!("deliverytimeout".parse::<ResultCode>().is_err());
    }
}
