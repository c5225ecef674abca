//! 5.6 and 5.7: statuses and result codes.

use orderly_model::invocation::{InvocationStatus, StatusCounts, aggregate};
use orderly_model::task::{FinalStatus, ResultCode, TaskStatus};

// 5.6 Statuses

#[test]
fn row_5_6_every_status_of_an_instance() {
    for status in [
        "Pending",
        "Invalid",
        "Aborted",
        "Running",
        "Success",
        "Failed",
        "Error",
        "Timeout",
        "Cancelled",
        "Stopping",
        "Stopped",
        "Terminated",
        "Scheduled",
    ] {
        assert_eq!(status.parse::<TaskStatus>().unwrap().as_str(), status);
    }
}

macro_rules! aggregate_rows {
    ($($row:ident [$($task:ident)*] $invocation:ident;)*) => { $(
        #[test]
        fn $row() {
            let counts: StatusCounts = [$(TaskStatus::$task),*].into_iter().collect();
            assert_eq!(aggregate(&counts), InvocationStatus::$invocation);
        }
    )* };
}

aggregate_rows! {
    row_5_6_pending [Pending Running Success] Pending;
    row_5_6_scheduled [Scheduled Running] Scheduled;
    row_5_6_running [Running Stopping Success] Running;
    row_5_6_stopping [Stopping Success] Stopping;
    row_5_6_success [Success Success] Success;
    row_5_6_failed [Failed Invalid Aborted Timeout Error] Failed;
    row_5_6_failed_and_stopped [Failed Terminated] Failed;
    row_5_6_stopped [Stopped Cancelled Terminated] Stopped;
    row_5_6_partial_failed [Success Timeout] PartialFailed;
    row_5_6_success_and_stopped_as_the_overview_has_it [Success Cancelled] PartialFailed;
}

// 5.7 Result codes

macro_rules! code_rows {
    ($($row:ident $code:ident $status:ident;)*) => { $(
        #[test]
        fn $row() {
            let code: ResultCode = stringify!($code).parse().unwrap();
            assert_eq!(code.usual_status(), FinalStatus::$status);
            assert!(code.sentence("/etc/x").contains("`/etc/x`"));
        }
    )* };
}

code_rows! {
    row_5_7_instance_not_exists InstanceNotExists Aborted;
    row_5_7_instance_released InstanceReleased Error;
    row_5_7_instance_not_running InstanceNotRunning Aborted;
    row_5_7_command_not_applicable CommandNotApplicable Invalid;
    row_5_7_account_not_exists AccountNotExists Invalid;
    row_5_7_directory_not_exists DirectoryNotExists Invalid;
    row_5_7_bad_cron_expression BadCronExpression Invalid;
    row_5_7_client_not_running ClientNotRunning Aborted;
    row_5_7_client_not_response ClientNotResponse Error;
    row_5_7_client_is_upgrading ClientIsUpgrading Aborted;
    row_5_7_client_need_upgrade ClientNeedUpgrade Invalid;
    row_5_7_client_network_blocked ClientNetworkBlocked Aborted;
    row_5_7_delivery_timeout DeliveryTimeout Aborted;
    row_5_7_execution_timeout ExecutionTimeout Timeout;
    row_5_7_execution_exception ExecutionException Error;
    row_5_7_execution_interrupted ExecutionInterrupted Error;
    row_5_7_exit_code_nonzero ExitCodeNonzero Failed;
    row_5_7_security_group_rule_denied SecurityGroupRuleDenied Aborted;
    row_5_7_task_concurrency_limit TaskConcurrencyLimit Aborted;
    row_5_7_username_or_password_invalid UsernameOrPasswordInvalid Invalid;
    row_5_7_invalid_container_id InvalidContainerId Invalid;
    row_5_7_invalid_container_name InvalidContainerName Invalid;
    row_5_7_unsupported_container_runtime UnsupportedContainerRuntime Invalid;
    row_5_7_container_name_and_id_not_match ContainerNameAndIdNotMatch Invalid;
    row_5_7_container_name_duplicated ContainerNameDuplicated Invalid;
    row_5_7_container_not_found ContainerNotFound Invalid;
    row_5_7_container_state_abnormal ContainerStateAbnormal Invalid;
    row_5_7_container_connect_failed ContainerConnectFailed Error;
    row_5_7_container_runtime_internal_error ContainerRuntimeInternalError Error;
    row_5_7_container_runtime_timeout ContainerRuntimeTimeout Error;
    row_5_7_file_create_fail FileCreateFail Failed;
    row_5_7_file_already_exists FileAlreadyExists Invalid;
    row_5_7_file_content_invalid FileContentInvalid Invalid;
    row_5_7_file_name_invalid FileNameInvalid Invalid;
    row_5_7_file_path_invalid FilePathInvalid Invalid;
    row_5_7_file_authority_invalid FileAuthorityInvalid Invalid;
    row_5_7_user_group_not_exists UserGroupNotExists Invalid;
}
